// The first bytes that rust-, go- and js-libp2p and a relay exchanged under a swarm key, recorded by
// `e2e/interop/record.ts`.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { createLibp2p } from 'libp2p';
import { until } from '../../testing/wait.ts';
import { createNobleCipher, createSodiumCipher, NONCE_BYTES } from '../wire/cipher.ts';
import { formatSwarmKey, generateSwarmKey, parseSwarmKey } from './key.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';
import { testWireIo } from '../../testing/wire-io.ts';
import { createWireStack } from './adapters/wire-stack.ts';

interface Transcripts {
  readonly key: string;
  readonly handshakes: ReadonlyArray<{ program: string; from_program: string; from_relay: string }>;
}

const path = join(import.meta.dirname, 'psk.transcripts.json');
const { key, handshakes } = JSON.parse(readFileSync(path, 'utf8')) as Transcripts;
const swarmKey = parseSwarmKey(formatSwarmKey({ bytes: Buffer.from(key, 'hex'), fingerprint: '' }));

const limits = { maxConnections: 8, maxPendingInbound: 8, maxStreamsPerConnection: 8, maxParallelDials: 1 };

/** The outcome when a connection to a node begins with these bytes. */
async function outcomeOf(bytes: Buffer, nodeKey = swarmKey): Promise<ProtectionOutcome[]> {
  const outcomes: ProtectionOutcome[] = [];
  const identity = await generateKeyPair('Ed25519');
  const cipher = createSodiumCipher();
  const onOutcome = (outcome: ProtectionOutcome): void => void outcomes.push(outcome);
  const node = await createLibp2p({
    ...createWireStack({
      identity,
      key: nodeKey,
      cipher,
      limits,
      onOutcome,
      io: testWireIo,
      acceptPath: 'data',
    }),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  });
  const port = Number(node.getMultiaddrs()[0]?.getComponents()[1]?.value);
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(bytes);
  await until(() => outcomes.length > 0, 'the outcome is known');
  socket.destroy();
  await node.stop();
  return outcomes;
}

describe.each(handshakes)('the recorded handshake of $program', ({ from_program, from_relay }) => {
  test.each([createSodiumCipher(), createNobleCipher()])(
    'is decrypted by $name in both directions',
    (cipher) => {
      for (const hex of [from_program, from_relay]) {
        const bytes = Buffer.from(hex, 'hex');
        const [nonce, message] = [bytes.subarray(0, NONCE_BYTES), Buffer.from(bytes.subarray(NONCE_BYTES))];
        cipher.keystream(swarmKey.bytes, nonce).xor(message, message);
        expect(message.toString('latin1')).toBe('\x13/multistream/1.0.0\n\x07/noise\n');
      }
    },
  );

  test('is accepted under its swarm key, and refused under another one', async () => {
    expect(await outcomeOf(Buffer.from(from_program, 'hex'))).toEqual(['ok']);
    expect(await outcomeOf(Buffer.from(from_program, 'hex'), generateSwarmKey())).toEqual(['wrong_key']);
  });
});
