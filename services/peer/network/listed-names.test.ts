import { afterEach, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestDialer, startTestRelay, testSwarmKey } from '../../../testing/peer.ts';
import { deadlineSignal, until } from '../../../testing/wait.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { createListedLookup } from './listed-names.ts';
import { createPeerNode } from './node.ts';

afterEach(cleanUp);

async function newPeerId(): Promise<string> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
}

test('names of relays that other devices list do not delay the look-ups of the own relays', async () => {
  const relay = await startTestRelay();
  const running: string[] = [];
  const node = await createPeerNode({
    io: testWireIo,
    identity: await generateKeyPair('Ed25519'),
    swarmKey: testSwarmKey,
    listen: [],
    version: '0.0.0',
    lookup: async (name) => {
      running.push(name);
      return name === 'own.test' ? ['127.0.0.1'] : new Promise(() => {});
    },
  });
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  const stop = new AbortController();
  const dialer = createTestDialer(node, []);
  const dials: Array<Promise<unknown>> = [];
  for (let count = 0; count < 3; count += 1) {
    const [peerId, relayId] = [await newPeerId(), await newPeerId()];
    const addresses = [`/dns4/listed${count}.test/tcp/4001/p2p/${relayId}/p2p-circuit/p2p/${peerId}`];
    dials.push(dialer.connect({ peerId, addresses, isListed: true }, 60_000, stop.signal).catch(() => {}));
  }
  await until(() => running.length > 0, 'the first name is being looked up');
  const own = multiaddr(relay.address.replace(/^\/ip4\/[^/]+/, '/dns4/own.test'));
  await node.dial(own, { signal: deadlineSignal(), onProgress: () => {} });
  expect(running).toEqual(['listed0.test', 'own.test']);
  stop.abort();
  await Promise.all(dials);
});

test('a look-up whose caller has stopped waiting loses its turn, and further ones fail while 64 wait', async () => {
  const answers = new Map<string, (addresses: string[]) => void>();
  const lookup = createListedLookup(
    async (name) => new Promise((resolve) => void answers.set(name, resolve)),
  );
  const signal = deadlineSignal();
  const first = lookup('first.test', 4, signal);
  const stop = new AbortController();
  const stopped = lookup('stopped.test', 4, stop.signal);
  const waiting = Array.from({ length: 63 }, async (_, number) => lookup(`${number}.test`, 4, signal));
  await expect(lookup('more.test', 4, signal)).rejects.toThrow('Too many names');
  stop.abort(new Error('stopped'));
  await expect(stopped).rejects.toThrow('stopped');
  expect([...answers.keys()]).toEqual(['first.test']);
  for (const [number, result] of [first, ...waiting].entries()) {
    const name = number === 0 ? 'first.test' : `${number - 1}.test`;
    await until(() => answers.has(name), 'the turn has come');
    answers.get(name)?.(['127.0.0.1']);
    expect(await result).toEqual(['127.0.0.1']);
  }
  expect(answers.has('stopped.test')).toBe(false);
});
