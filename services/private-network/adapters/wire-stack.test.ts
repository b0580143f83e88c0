// Nodes of libp2p on the layers of the wire, with each other and with nodes on the stock implementations.
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { createLibp2p, type Libp2pOptions } from 'libp2p';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { testAccept } from '../../wire/accept-test.ts';
import { createStockStack, STOCK_MPLEX, STOCK_YAMUX } from '../../../testing/stock-stack.ts';
import { createNobleCipher, loadCipher } from '../../wire/cipher.ts';
import { loadNoiseCrypto, nodeNoiseCrypto } from '../../wire/noise/crypto.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { generateSwarmKey, type SwarmKey } from '../key.ts';
import { LayerConnection, readsOf } from './layer-connection.ts';
import { createMuxers } from './muxer.ts';
import type { ProtectorOptions } from './protector.ts';
import { createWireStack } from './wire-stack.ts';

const PROTOCOL = '/test/1.0.0';
const MANY = { maxInboundStreams: 1000, maxOutboundStreams: 1000 };
const swarmKey = generateSwarmKey();
const limits = { maxConnections: 16, maxPendingInbound: 8, maxStreamsPerConnection: 16, maxParallelDials: 8 };
/** What this machine can do, and what remains on a machine without the addon and on another version of Node. */
const MACHINES = {
  fast: { cipher: loadCipher(), crypto: loadNoiseCrypto(), acceptPath: (await testAccept()).path },
  fallback: { cipher: createNobleCipher(), crypto: nodeNoiseCrypto, acceptPath: 'data' },
} as const;

type Kind = 'wire' | 'stock';

const nodes: Libp2p[] = [];
afterEach(stopNodes);

async function stopNodes(): Promise<void> {
  await Promise.all(nodes.splice(0).map(async (node) => node.stop()));
}

interface NodeOptions {
  readonly key?: SwarmKey;
  /** Indexes of the muxers: 0 is yamux, 1 is mplex. Default: both. */
  readonly muxers?: readonly number[];
  readonly maxStreams?: number;
  readonly listen?: readonly string[];
  readonly admit?: ProtectorOptions['admit'];
  /** Default: fast. */
  readonly machine?: keyof typeof MACHINES;
}

async function startNode(kind: Kind, options: NodeOptions = {}): Promise<Libp2p> {
  const { key = swarmKey, muxers = [0, 1], maxStreams = limits.maxStreamsPerConnection, admit } = options;
  const { machine = 'fast' } = options;
  const stackOptions = {
    identity: await generateKeyPair('Ed25519'),
    key,
    limits,
    io: testWireIo,
    ...MACHINES[machine],
    ...(admit !== undefined && { admit }),
  };
  const factories: NonNullable<Libp2pOptions['streamMuxers']> =
    kind === 'wire' ? createMuxers({ maxStreams, negotiationMs: 10_000 }) : [STOCK_YAMUX, STOCK_MPLEX];
  const node = await createLibp2p({
    ...(kind === 'wire' ? createWireStack(stackOptions) : createStockStack(stackOptions)),
    streamMuxers: factories.filter((_, index) => muxers.includes(index)),
    addresses: { listen: [...(options.listen ?? ['/ip4/127.0.0.1/tcp/0'])] },
  });
  nodes.push(node);
  return node;
}

interface Opened {
  readonly dialed: Connection;
  readonly accepted: Connection;
  readonly sender: Stream;
  readonly receiver: Stream;
}

async function openStream(from: Kind, to: Kind, options: NodeOptions = {}): Promise<Opened> {
  const [a, b] = await Promise.all([startNode(from, options), startNode(to, options)]);
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

const PAIRS: Array<[Kind, Kind]> = [
  ['wire', 'wire'],
  ['wire', 'stock'],
  ['stock', 'wire'],
];
const CASES = PAIRS.flatMap(([from, to]) =>
  (['fast', 'fallback'] as const).flatMap((machine) =>
    (machine === 'fast' ? [0, 1] : [0]).map((muxer) => ({
      from,
      to,
      machine,
      muxers: [muxer],
      name: ['yamux', 'mplex'][muxer],
    })),
  ),
);

describe.each(CASES)('a stream of $name from $from to $to ($machine)', ({ from, to, muxers, machine }) => {
  test('slows its sender down while its reader is paused, and loses no bytes', async () => {
    const { sender, receiver } = await openStream(from, to, { muxers, machine });
    const chunk = randomBytes(64 * 1024);
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let bytes = 0;
    receiver.addEventListener('message', ({ data }) => {
      received.update(data.subarray());
      bytes += data.byteLength;
    });
    const total = 6 * 1024 * 1024;
    let waits = 0;
    for (let offset = 0; offset < total; offset += chunk.length) {
      sent.update(chunk);
      if (sender.send(chunk)) continue;
      waits += 1;
      const drained = sender.onDrain();
      // The reader starts when the sender has to wait for the first time.
      if (waits === 1) receiver.resume();
      await drained;
    }
    receiver.resume();
    await sender.close();
    await until(() => bytes === total, 'all arrived');
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(waits).toBeGreaterThan(0);
    await receiver.close();
    await until(() => sender.status === 'closed' && receiver.status === 'closed', 'both ends are closed');
  });

  test('that its reader resets leaves the connection usable, and ends with it', async () => {
    const { sender, receiver, dialed, accepted } = await openStream(from, to, { muxers, machine });
    for (let index = 0; index < 200; index += 1) sender.send(randomBytes(16));
    receiver.abort(new Error('The reader is done.'));
    await until(() => sender.status !== 'open', 'the sender is reset');
    const next = await accepted.newStream(PROTOCOL);
    expect(next.status).toBe('open');
    await dialed.close();
    await until(() => accepted.status !== 'open' && next.status !== 'open', 'the other side is closed');
    expect([dialed.status, accepted.status]).toEqual(['closed', 'closed']);
  });

  test('loses nothing that was written before its connection is closed', async () => {
    const { sender, receiver, dialed } = await openStream(from, to, { muxers, machine });
    // With mplex, the paused reader pauses the connection.
    const other = muxers.includes(0) ? await dialed.newStream(PROTOCOL) : undefined;
    const bytes = randomBytes(3 * 1024 * 1024);
    const received: Uint8Array[] = [];
    receiver.addEventListener('message', ({ data }) => void received.push(data.subarray()));
    sender.send(bytes);
    // A stream that was reset has nothing to send, and does not keep the other one from it.
    other?.abort(new Error('The test ends it.'));
    const closed = dialed.close({ signal: AbortSignal.timeout(WAIT_TIMEOUT_MS) });
    receiver.resume();
    await closed;
    await until(() => receiver.readableEnded, 'the receiver has read everything');
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
  });

  test('ends when either side aborts the connection', async () => {
    const { sender, receiver, accepted, dialed } = await openStream(from, to, { muxers, machine });
    accepted.abort(new Error('The test ends it.'));
    await until(() => sender.status !== 'open' && receiver.status !== 'open', 'the streams have ended');
    await until(() => dialed.status !== 'open', 'the dialed connection has ended');
  });
});

describe.each(PAIRS)('a connection from %s to %s', (from, to) => {
  test('uses yamux if both have it, and otherwise mplex', async () => {
    const [a, b, c] = await Promise.all([startNode(from), startNode(to, { muxers: [1] }), startNode(to)]);
    expect((await a.dial(b.getMultiaddrs())).multiplexer).toBe('/mplex/6.7.0');
    const connection = await a.dial(c.getMultiaddrs());
    expect([connection.multiplexer, connection.encryption]).toEqual(['/yamux/1.0.0', '/noise']);
    expect(connection.remotePeer.toString()).toBe(c.peerId.toString());
  });

  test('fails with another swarm key, and the error names the probable reason', async () => {
    const [a, b] = await Promise.all([startNode(from, { key: generateSwarmKey() }), startNode(to)]);
    await expect(a.dial(b.getMultiaddrs())).rejects.toThrow('it has another swarm key');
    expect(b.getConnections()).toHaveLength(0);
  });

  test('fails when another device has the address', async () => {
    const [a, b, c] = await Promise.all([startNode(from), startNode(to), startNode(to)]);
    const address = b.getMultiaddrs()[0]?.decapsulate('/p2p').encapsulate(`/p2p/${c.peerId.toString()}`);
    await expect(a.dial(address ?? [])).rejects.toThrow();
    expect(b.getConnections()).toHaveLength(0);
  });
});

test.each([0, 1])('streams above the maximum of their connection are reset, with muxer %s', async (muxer) => {
  const a = await startNode('stock', { muxers: [muxer], maxStreams: 64 });
  const b = await startNode('wire');
  await b.handle(PROTOCOL, () => {}, MANY);
  await a.dial(b.getMultiaddrs());
  const opened = await Promise.allSettled(
    Array.from({ length: limits.maxStreamsPerConnection + 4 }, async () =>
      a.dialProtocol(b.getMultiaddrs(), PROTOCOL, MANY),
    ),
  );
  expect(opened.filter(({ status }) => status === 'rejected')).toHaveLength(4);
  expect(b.getConnections()[0]?.streams).toHaveLength(limits.maxStreamsPerConnection);
});

test('the reads of a socket are counted while its handshake waits', async () => {
  const admitted = Promise.withResolvers<number>();
  const [a, b] = await Promise.all([
    startNode('stock'),
    startNode('wire', {
      async admit(connection) {
        const before = readsOf(connection);
        // The other side has proved the swarm key with what it sent so far, and goes on with the next layer.
        await until(() => readsOf(connection) > before || before > 1, 'more was read');
        admitted.resolve(readsOf(connection));
      },
    }),
  ]);
  await a.dial(b.getMultiaddrs());
  expect(await admitted.promise).toBeGreaterThan(0);
});

test('a connection that sends more than a negotiation needs, before its next layer, is closed', async () => {
  const [a, b] = await Promise.all([startNode('wire'), startNode('wire')]);
  const upgrades: unknown[] = [];
  const { upgrader } = (
    a as unknown as { components: { upgrader: { getConnectionEncrypters(): Map<string, object> } } }
  ).components;
  upgrader.getConnectionEncrypters().set('/noise', {
    protocol: '/noise',
    secureOutbound(connection: unknown) {
      upgrades.push(connection);
      if (!(connection instanceof LayerConnection)) throw new TypeError('The connection is not ours.');
      connection.send(Buffer.alloc(4 * 1024 * 1024, 0xff));
      return new Promise((_, reject) => {
        connection.addEventListener('close', () =>
          reject(new Error('The other side closed the connection.')),
        );
      });
    },
  });
  await expect(a.dial(b.getMultiaddrs())).rejects.toThrow('closed');
  expect([upgrades.length, b.getConnections().length]).toEqual([1, 0]);
});

test('a stopped node leaves no socket open', async () => {
  const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0', '/ip4/127.0.0.3/tcp/0'];
  const [a, b] = await Promise.all([startNode('wire'), startNode('wire', { listen })]);
  await a.dial(b.getMultiaddrs());
  await stopNodes();
  await until(
    () => !process.getActiveResourcesInfo().some((name) => name.startsWith('TCP')),
    'all sockets are closed',
  );
});
