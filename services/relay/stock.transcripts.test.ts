import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { byteStream } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { encodeHopResponse, HOP_PROTOCOL, Status, STOP_PROTOCOL } from './messages.ts';
import { createVoucherSealer } from './voucher.ts';
import { deadlineSignal } from '../../testing/wait.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { type Relay, startPeer, startRelay } from '../../testing/relay.ts';

interface Transcripts {
  readonly seeds: Record<'relay' | 'source' | 'target', string>;
  readonly announced: string;
  readonly limit: { readonly seconds: number; readonly bytes: number };
  readonly exchanges: ReadonlyArray<{
    readonly name: string;
    readonly request: string;
    readonly answer: string;
  }>;
}

/** Recorded exchanges of the stock client and server; `node e2e/interop/record-stock.ts` records them. */
const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, 'stock.transcripts.json'), 'utf8'),
) as Transcripts;

function exchange(name: string): { request: Buffer; answer: Buffer } {
  const found = recorded.exchanges.find((each) => each.name === name);
  if (found === undefined) throw new Error(`There is no recorded exchange "${name}".`);
  return { request: Buffer.from(found.request, 'hex'), answer: Buffer.from(found.answer, 'hex') };
}

const keys = {} as Record<'relay' | 'source' | 'target', PrivateKey>;

beforeAll(async () => {
  for (const name of ['relay', 'source', 'target'] as const)
    keys[name] = await generateKeyPairFromSeed('Ed25519', Buffer.from(recorded.seeds[name], 'hex'));
});
afterEach(cleanUp);

/** Reads one message of less than 16 KiB, with its length. */
async function readMessage(stream: Stream): Promise<Buffer> {
  const bytes = byteStream(stream);
  const signal = deadlineSignal();
  const head = (await bytes.read({ bytes: 2, signal })).subarray();
  const [low = 0, high = 0] = head;
  const left = low < 0x80 ? low - 1 : (low & 0x7f) + (high << 7);
  const rest = left === 0 ? new Uint8Array() : (await bytes.read({ bytes: left, signal })).subarray();
  bytes.unwrap();
  return Buffer.concat([head, rest]);
}

/** Sends the recorded request unchanged and returns the response. */
async function replay(peer: Libp2p, relay: Relay, name: string): Promise<Buffer> {
  const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL);
  stream.send(exchange(name).request);
  return readMessage(stream);
}

const LIMITS = {
  circuitSeconds: recorded.limit.seconds,
  circuitBytes: recorded.limit.bytes,
};

describe('a recorded request of the stock client', () => {
  test('gets the response of the stock server, and the target gets the same stop request', async () => {
    const relay = await startRelay({ limits: LIMITS, identity: keys.relay });
    const target = await startPeer(undefined, { identity: keys.target });
    const source = await startPeer(undefined, { identity: keys.source });
    const stopRequests: Buffer[] = [];
    await target.unhandle(STOP_PROTOCOL);
    await target.handle(STOP_PROTOCOL, async (stream) => {
      stopRequests.push(await readMessage(stream));
      stream.send(exchange('stop').answer);
    });
    await replay(target, relay, 'reserve');
    expect(await replay(source, relay, 'connect')).toEqual(exchange('connect').answer);
    expect(stopRequests).toEqual([exchange('stop').request]);
    expect(await replay(source, relay, 'connect to nobody')).toEqual(exchange('connect to nobody').answer);
  });

  test('gets the same refusal when the relay is full', async () => {
    const relay = await startRelay({ limits: { ...LIMITS, reservations: 1 } });
    const [target, source] = [await startPeer(), await startPeer()];
    await replay(target, relay, 'reserve');
    expect(await replay(source, relay, 'reserve when full')).toEqual(exchange('reserve when full').answer);
  });

  test('gets a reservation that differs from the recorded one only in time and addresses', async () => {
    const relay = await startRelay({ limits: LIMITS, identity: keys.relay });
    const response = await replay(await startPeer(undefined, { identity: keys.target }), relay, 'reserve');
    const [ours, theirs] = [response, exchange('reserve').answer].map((bytes) =>
      HopMessage.decode(bytes.subarray(2)),
    );
    const expire = ours?.reservation?.expire ?? 0n;
    expect(ours?.reservation?.voucher).toMatchObject({
      publicKey: theirs?.reservation?.voucher?.publicKey,
      payloadType: theirs?.reservation?.voucher?.payloadType,
      payload: { ...theirs?.reservation?.voucher?.payload, expiration: expire },
    });
    const recordedTimeAndAddresses = {
      expire,
      addrs: [relay.address.bytes],
      voucher: ours?.reservation?.voucher,
    };
    expect(ours).toEqual({ ...theirs, reservation: { ...theirs?.reservation, ...recordedTimeAndAddresses } });
  });
});

test('a reservation with the recorded time and addresses equals the recorded bytes, signature included', async () => {
  const { answer } = exchange('reserve');
  const expiresUnixSeconds = Number(HopMessage.decode(answer.subarray(2)).reservation?.expire);
  const relay = peerIdFromPrivateKey(keys.relay);
  const target = peerIdFromPrivateKey(keys.target);
  const peer = { id: target.toString(), multihash: target.toMultihash().bytes };
  const voucher = await createVoucherSealer(keys.relay)(peer, expiresUnixSeconds);
  const addresses = [multiaddr(`${recorded.announced}/p2p/${relay.toString()}`).bytes];
  const ours = encodeHopResponse({
    status: Status.OK,
    limit: recorded.limit,
    reservation: { expiresUnixSeconds, addresses, voucher },
  });
  expect(Buffer.from(ours).toString('hex')).toBe(answer.subarray(2).toString('hex'));
});
