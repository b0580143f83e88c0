import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, Stream, StreamMuxerFactory } from '@libp2p/interface';
import type { AbstractStream } from '@libp2p/utils';
import { createLibp2p } from 'libp2p';
import { Uint8ArrayList } from 'uint8arraylist';
import { until } from '../../testing/wait.ts';
import { loadCipher } from '../wire/cipher.ts';
import { generateSwarmKey, type SwarmKey } from './key.ts';
import { createMuxers, MAX_STREAM_BUFFER_BYTES } from './muxers.ts';
import { createTransportStack } from './transport-stack.ts';

const PROTOCOL = '/test/1.0.0';
const swarmKey = generateSwarmKey();
const limits = { maxConnections: 16, maxPendingInbound: 8, maxStreamsPerConnection: 16, maxParallelDials: 8 };
const [yamux, mplex] = createMuxers(limits.maxStreamsPerConnection);

const nodes: Libp2p[] = [];
afterEach(stopNodes);

type Muxers = Array<() => StreamMuxerFactory>;

async function stopNodes(): Promise<void> {
  await Promise.all(nodes.splice(0).map(async (node) => node.stop()));
}

async function startNode(muxers: Muxers, key: SwarmKey = swarmKey): Promise<Libp2p> {
  const identity = await generateKeyPair('Ed25519');
  const node = await createLibp2p({
    ...createTransportStack({ identity, key, cipher: loadCipher(), limits }),
    streamMuxers: muxers,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  });
  nodes.push(node);
  return node;
}

async function openStream(
  muxers: Muxers,
): Promise<{ sender: Stream; receiver: Stream; dialed: Connection; accepted: Connection }> {
  const [a, b] = await Promise.all([startNode(muxers), startNode(muxers)]);
  const received = Promise.withResolvers<Stream>();
  await b.handle(PROTOCOL, (stream) => {
    stream.pause();
    received.resolve(stream);
  });
  await a.handle(PROTOCOL, () => {});
  const dialed = await a.dial(b.getMultiaddrs());
  const sender = await dialed.newStream(PROTOCOL);
  const receiver = await received.promise;
  const [accepted] = b.getConnections();
  if (accepted === undefined) throw new Error('The connection was not accepted.');
  return { sender, receiver, dialed, accepted };
}

describe.each([
  { muxer: 'yamux', muxers: [yamux] as Muxers },
  { muxer: 'mplex', muxers: [mplex] as Muxers },
])('a $muxer stream', ({ muxers }) => {
  test('slows its sender down while its reader is paused, and loses no bytes', async () => {
    const { sender, receiver } = await openStream(muxers);
    const chunk = randomBytes(64 * 1024);
    const sent = createHash('sha256');
    const received = createHash('sha256');
    let bytes = 0;
    let largest = 0;
    receiver.addEventListener('message', ({ data }) => {
      received.update(data.subarray());
      bytes += data.byteLength;
      largest = Math.max(largest, data.byteLength);
    });

    const total = 32 * MAX_STREAM_BUFFER_BYTES;
    let waits = 0;
    for (let offset = 0; offset < total; offset += chunk.length) {
      sent.update(chunk);
      if (sender.send(chunk)) continue;
      waits += 1;
      const drained = new Promise<void>((resolve) => {
        sender.addEventListener('drain', () => resolve(), { once: true });
      });
      // The reader starts when the sender has to wait for the first time.
      if (waits === 1) receiver.resume();
      await drained;
    }
    await until(() => bytes === total, 'all arrived');
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(waits).toBeGreaterThan(0);
  });

  test('leaves its connection usable when its reader resets it with many messages in flight', async () => {
    const { sender, receiver, accepted } = await openStream(muxers);
    // `sendData` sends each chunk in its own frame; `send` would join them.
    for (let index = 0; index < 5_000; index += 1)
      (sender as AbstractStream).sendData(new Uint8ArrayList(randomBytes(16)));
    receiver.abort(new Error('The reader is done.'));
    await until(() => sender.status !== 'open', 'the sender is reset');
    expect((await accepted.newStream(PROTOCOL)).status).toBe('open');
  });
});

test('an mplex connection is closed when its peer opens streams at too high a rate', async () => {
  const [a, b] = await Promise.all([startNode([mplex] as Muxers), startNode([mplex] as Muxers)]);
  await b.handle(PROTOCOL, () => {});
  const dialed = await a.dial(b.getMultiaddrs());
  const options = { maxOutboundStreams: 1_000 };
  const opened = await Promise.allSettled(
    Array.from({ length: 500 }, async () => dialed.newStream(PROTOCOL, options)),
  );
  // Some may be open for a moment, before the connection is closed.
  expect(opened.map(({ status }) => status)).toContain('rejected');
  await until(() => b.getConnections().length === 0, 'the connection is closed');
});

test.each([
  { muxer: 'yamux', index: 0 },
  { muxer: 'mplex', index: 1 },
])('$muxer streams above the maximum of their connection are reset', async ({ index }) => {
  const generous = createMuxers(4 * limits.maxStreamsPerConnection).slice(index, index + 1);
  const [a, b] = await Promise.all([startNode(generous), startNode([yamux, mplex] as Muxers)]);
  const options = { maxInboundStreams: 64, maxOutboundStreams: 64 };
  await b.handle(PROTOCOL, () => {}, options);
  await a.dial(b.getMultiaddrs());
  const streams = Array.from({ length: limits.maxStreamsPerConnection + 4 }, async () =>
    a.dialProtocol(b.getMultiaddrs(), PROTOCOL, options),
  );
  const refused = (await Promise.allSettled(streams)).filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(4);
  expect(b.getConnections()[0]?.streams).toHaveLength(limits.maxStreamsPerConnection);
});

test('a yamux stream sends frames of a size that rust-libp2p accepts', async () => {
  const { sender, receiver } = await openStream([yamux] as Muxers);
  const frames: number[] = [];
  receiver.resume();
  receiver.addEventListener('message', ({ data }) => frames.push(data.byteLength));
  sender.send(randomBytes(200_000));
  await until(() => frames.reduce((sum, bytes) => sum + bytes, 0) === 200_000, 'all arrived');
  expect(Math.max(...frames)).toBeLessThanOrEqual(65_507);
});

test('two nodes use yamux if both have it, and otherwise mplex', async () => {
  const [a, b] = await Promise.all([startNode([yamux, mplex] as Muxers), startNode([mplex] as Muxers)]);
  expect((await a.dial(b.getMultiaddrs())).multiplexer).toBe('/mplex/6.7.0');
  const c = await startNode([yamux, mplex] as Muxers);
  expect((await a.dial(c.getMultiaddrs())).multiplexer).toBe('/yamux/1.0.0');
});

test('a node with another swarm key cannot connect, and the error names the probable reason', async () => {
  const [a, b] = await Promise.all([
    startNode([yamux] as Muxers, generateSwarmKey()),
    startNode([yamux] as Muxers),
  ]);
  await expect(a.dial(b.getMultiaddrs())).rejects.toThrow('most likely it has another swarm key');
  expect(b.getConnections()).toHaveLength(0);
});

test('a stopped node leaves no socket open', async () => {
  const [a, b] = await Promise.all([startNode([yamux] as Muxers), startNode([yamux] as Muxers)]);
  await a.dial(b.getMultiaddrs());
  await stopNodes();
  await until(
    () => !process.getActiveResourcesInfo().some((name) => name.startsWith('TCP')),
    'all sockets are closed',
  );
});
