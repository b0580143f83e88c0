import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPair, publicKeyFromProtobuf } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Libp2p, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { pbStream } from '@libp2p/utils';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import {
  HopMessage,
  ReservationVoucher,
} from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { createLogger } from '../shared/log.ts';
import { until } from '../shared/testing.ts';
import { loadCipher } from '../swarm/cipher.ts';
import { generateSwarmKey, type SwarmKey } from '../swarm/key.ts';
import { createMuxers } from '../swarm/muxers.ts';
import { swarmStack } from '../swarm/stack.ts';
import { parseListen } from './announce.ts';
import { createBuffers } from './buffers.ts';
import type { RelayConfig } from './config.ts';
import { createHop } from './hop.ts';
import { createLedger } from './limits.ts';
import { HOP_PROTOCOL } from './messages.ts';
import { createRelayMetrics } from './metrics.ts';
import { createRelayNode, RESERVATION_SECONDS } from './node.ts';

const ECHO = '/test/echo/1.0.0';
const swarmKey = generateSwarmKey();
const cipher = loadCipher();
const log = createLogger('test', 'silent');
const limits = {
  maxConnections: 64,
  maxPendingInbound: 32,
  maxStreamsPerConnection: 256,
  maxParallelDials: 16,
};
const muxers = createMuxers(limits.maxStreamsPerConnection);

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map(async (close) => close()));
});

/** A relay as operators run it, on a port of its own, and what its metrics say. */
async function startRelay(overrides: Partial<RelayConfig> = {}) {
  const identity = await generateKeyPair('Ed25519');
  const metrics = createRelayMetrics(cipher.name);
  const node = createRelayNode(
    {
      RELAY_LISTEN: [parseListen('/ip4/127.0.0.1/tcp/0')],
      RELAY_ANNOUNCE: [],
      RELAY_LOCAL: true,
      RELAY_SWARM_KEY_FILE: swarmKey,
      RELAY_IDENTITY_KEY_FILE: undefined,
      RELAY_IDENTITY_SEED_FILE: undefined,
      RELAY_IDENTITY_ORDINAL: 0,
      RELAY_OPS_LISTEN: { host: '127.0.0.1', port: 0 },
      RELAY_MAX_CONNECTIONS: 128,
      RELAY_MAX_RESERVATIONS: 16,
      RELAY_MAX_CIRCUITS: 16,
      RELAY_MAX_CIRCUITS_PER_PEER: 8,
      RELAY_CIRCUIT_SECONDS: 900,
      RELAY_CIRCUIT_BYTES: 64 * 1024 * 1024,
      RELAY_DRAIN_SECONDS: 30,
      RELAY_POD_NAME: undefined,
      RELAY_POD_IP: undefined,
      RELAY_HOST_IP: undefined,
      RELAY_MAX_CONNECTIONS_PER_PEER: 8,
      RELAY_MAX_PENDING_CONNECTIONS: 64,
      RELAY_HANDSHAKE_SECONDS: 10,
      RELAY_IDLE_SECONDS: 120,
      RELAY_ADDRESSES_ARE_REAL: false,
      RELAY_MAX_CONNECTIONS_PER_ADDRESS: 64,
      RELAY_MAX_RESERVATIONS_PER_ADDRESS: 64,
      RELAY_RESERVATIONS_PER_MINUTE: 60,
      RELAY_CIRCUITS_PER_MINUTE: 600,
      RELAY_CIRCUIT_IDLE_SECONDS: 300,
      RELAY_CIRCUIT_BYTES_PER_SECOND: 0,
      RELAY_PEER_BYTES_PER_SECOND: 0,
      RELAY_BUFFER_BYTES: 64 * 1024 * 1024,
      LOG_LEVEL: 'silent',
      identity,
      ...overrides,
    },
    { cipher, metrics, log },
  );
  closers.push(node.stop);
  await node.start();
  const [address] = node.addresses();
  if (address === undefined) throw new Error('the relay has no address');
  return {
    ...node,
    address,
    peerId: peerIdFromPrivateKey(identity),
    /** The value of one series, such as `rustory_relay_circuits`. */
    async metric(series: string): Promise<number> {
      const line = (await metrics.registry.metrics())
        .split('\n')
        .find((text) => text.startsWith(`${series} `));
      return line === undefined ? Number.NaN : Number(line.slice(series.length));
    },
  };
}

type Relay = Awaited<ReturnType<typeof startRelay>>;

/** A device with the stock client of circuit-relay-v2; `on` makes it reserve there. */
async function startPeer(
  on?: Relay,
  options: { key?: SwarmKey; muxers?: Array<() => StreamMuxerFactory> } = {},
) {
  const identity = await generateKeyPair('Ed25519');
  const stack = swarmStack({ identity, key: options.key ?? swarmKey, cipher, limits });
  const node = await createLibp2p({
    ...stack,
    ...(options.muxers === undefined ? {} : { streamMuxers: options.muxers }),
    transports: [...stack.transports, circuitRelayTransport()],
    addresses: { listen: on === undefined ? [] : [`${on.address.toString()}/p2p-circuit`] },
    services: { identify: identify() },
    start: false,
  });
  await node.handle(
    ECHO,
    (stream) => {
      stream.addEventListener('message', ({ data }) => {
        if (!stream.send(data)) stream.pause();
      });
      stream.addEventListener('drain', () =>
        queueMicrotask(() => stream.readStatus === 'paused' && stream.resume()),
      );
      stream.addEventListener('end', () => void stream.close().catch(() => {}));
    },
    { runOnLimitedConnection: true },
  );
  await node.start();
  closers.push(async () => node.stop());
  if (on !== undefined) await until(() => circuitAddress(node) !== undefined, 'the peer has reserved');
  return node;
}

function circuitAddress(node: Libp2p): Multiaddr | undefined {
  return node.getMultiaddrs().find((address) => address.toString().includes('/p2p-circuit/'));
}

async function dialEcho(from: Libp2p, relay: Relay, to: Libp2p): Promise<Stream> {
  const address = multiaddr(`${relay.address.toString()}/p2p-circuit/p2p/${to.peerId.toString()}`);
  return from.dialProtocol(address, ECHO, {
    runOnLimitedConnection: true,
    signal: AbortSignal.timeout(10_000),
  });
}

/** Sends bytes and closes the writing side; answers the digests of what went and what came back. */
async function exchange(
  stream: Stream,
  bytes: number,
): Promise<{ sent: string; received: string; bytes: number }> {
  const sent = createHash('sha256');
  const received = createHash('sha256');
  let count = 0;
  const ended = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      received.update(data.subarray());
      count += data.byteLength;
    });
    stream.addEventListener('end', () => resolve());
    stream.addEventListener('close', ({ error }) => error && reject(error));
  });
  ended.catch(() => {});
  for (let at = 0; at < bytes;) {
    const chunk = randomBytes(Math.min(60_000, bytes - at));
    at += chunk.length;
    sent.update(chunk);
    if (stream.send(chunk)) continue;
    await Promise.race([
      ended,
      new Promise<void>((resolve) => {
        stream.addEventListener('drain', () => resolve(), { once: true });
      }),
    ]);
  }
  await stream.close();
  await ended;
  return { sent: sent.digest('hex'), received: received.digest('hex'), bytes: count };
}

/** One exchange of raw hop messages, with the codec of the stock implementation. */
async function hop(
  peer: Libp2p,
  relay: Pick<Relay, 'address'>,
  request: Parameters<typeof HopMessage.encode>[0],
) {
  const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL, { runOnLimitedConnection: true });
  const messages = pbStream(stream).pb(HopMessage);
  const signal = AbortSignal.timeout(10_000);
  await messages.write(request, { signal });
  return messages.read({ signal });
}

const RESERVE = { type: HopMessage.Type.RESERVE };
const connectTo = (target: Libp2p) => ({
  type: HopMessage.Type.CONNECT,
  peer: { id: target.peerId.toMultihash().bytes, addrs: [] },
});

describe('a reservation', () => {
  test('carries addresses, an expiry, the limits in seconds and bytes, and a signed voucher', async () => {
    const relay = await startRelay();
    const peer = await startPeer();
    const answer = await hop(peer, relay, RESERVE);
    expect(answer.status).toBe('OK');
    expect(answer.limit).toEqual({ duration: 900, data: 67_108_864n });
    expect(answer.reservation?.addrs.map((bytes) => multiaddr(bytes).toString())).toEqual([
      relay.address.toString(),
    ]);
    const seconds = Number(answer.reservation?.expire) - Date.now() / 1000;
    expect(Math.abs(seconds - RESERVATION_SECONDS)).toBeLessThan(30);

    const voucher = answer.reservation?.voucher;
    if (voucher === undefined) throw new Error('no voucher');
    const { publicKey, payloadType, payload, signature } = voucher;
    if (payload === undefined) throw new Error('the voucher is empty');
    const envelope = new RecordEnvelope({
      publicKey: publicKeyFromProtobuf(publicKey),
      payloadType,
      payload: ReservationVoucher.encode(payload),
      signature,
    });
    expect(await envelope.validate('libp2p-relay-rsvp')).toBe(true);
    expect(envelope.publicKey.equals(relay.peerId.publicKey)).toBe(true);
    expect(Buffer.from(payloadType).toString('hex')).toBe('0302');
    expect(Buffer.from(payload.peer)).toEqual(Buffer.from(peer.peerId.toMultihash().bytes));
    expect(Buffer.from(payload.relay)).toEqual(Buffer.from(relay.peerId.toMultihash().bytes));
    expect(payload.expiration).toBe(answer.reservation?.expire);
  });

  test('is freed at once when the last connection of its peer closes', async () => {
    const relay = await startRelay({ RELAY_MAX_RESERVATIONS: 1 });
    const peer = await startPeer(relay);
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
    await peer.stop();
    await until(
      async () => (await relay.metric('rustory_relay_reservations')) === 0,
      'the reservation is freed',
    );
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
  });

  test('is refused as rust clients understand it when the relay is full, while those inside refresh', async () => {
    const relay = await startRelay({ RELAY_MAX_RESERVATIONS: 1 });
    const [inside, outside] = [await startPeer(relay), await startPeer()];
    expect(await hop(outside, relay, RESERVE)).toEqual({ type: 'STATUS', status: 'RESERVATION_REFUSED' });
    expect((await hop(inside, relay, RESERVE)).status).toBe('OK');
    expect(await relay.metric('rustory_relay_reservation_requests_total{outcome="reservations"}')).toBe(1);
  });
});

describe('a circuit', () => {
  test.each([
    { a: 'yamux', b: 'yamux', of: [muxers, muxers] },
    { a: 'mplex', b: 'mplex', of: [muxers.slice(1), muxers.slice(1)] },
    { a: 'yamux', b: 'mplex', of: [muxers, muxers.slice(1)] },
  ])('from $a to $b carries 8 MiB there and back, byte for byte', async ({ of: [from, to] }) => {
    const relay = await startRelay();
    const target = await startPeer(relay, { muxers: to ?? [] });
    const source = await startPeer(undefined, { muxers: from ?? [] });
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 8 * 1024 * 1024);
    expect([bytes, received]).toEqual([8 * 1024 * 1024, sent]);
    for (const direction of ['to_target', 'to_source']) {
      const relayed = await relay.metric(`rustory_relay_relayed_bytes_total{direction="${direction}"}`);
      expect(relayed).toBeGreaterThan(8 * 1024 * 1024);
    }
  });

  test('to a peer without a reservation is refused', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer()];
    await target.dial(relay.address);
    expect((await hop(source, relay, connectTo(target))).status).toBe('NO_RESERVATION');
  });

  test('to a peer that does not answer STOP fails, and frees its place', async () => {
    const relay = await startRelay({ RELAY_MAX_CIRCUITS: 1 });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await target.unhandle('/libp2p/circuit/relay/0.2.0/stop');
    for (let at = 0; at < 3; at += 1) {
      expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    }
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test.each([
    { limit: { RELAY_MAX_CIRCUITS: 1 }, reason: 'circuits' },
    { limit: { RELAY_MAX_CIRCUITS_PER_PEER: 1 }, reason: 'source' },
  ])('beyond the limit is refused, while running ones go on ($reason)', async ({ limit, reason }) => {
    const relay = await startRelay(limit);
    const [source, target, other] = [await startPeer(), await startPeer(relay), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(source, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric(`rustory_relay_circuit_requests_total{outcome="${reason}"}`)).toBe(1);
    const { sent, received } = await exchange(stream, 100_000);
    expect(received).toBe(sent);
  });

  test('ends when it has carried its bytes', async () => {
    const relay = await startRelay({ RELAY_CIRCUIT_BYTES: 1024 * 1024 });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await expect(exchange(await dialEcho(source, relay, target), 2 * 1024 * 1024)).rejects.toThrow();
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="bytes"}')) === 1,
      'the circuit is counted',
    );
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test('ends when its time is over', async () => {
    const relay = await startRelay({ RELAY_CIRCUIT_SECONDS: 1 });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="duration"}')) === 1,
      'the circuit is counted',
    );
  });

  test('ends when it has carried nothing for too long', async () => {
    const relay = await startRelay({ RELAY_CIRCUIT_IDLE_SECONDS: 1 });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="idle"}')) === 1,
      'the circuit is counted',
    );
  });

  test.each([
    { of: 'the circuit', limit: { RELAY_CIRCUIT_BYTES_PER_SECOND: 1024 * 1024 } },
    { of: 'the peer', limit: { RELAY_PEER_BYTES_PER_SECOND: 1024 * 1024 } },
  ])('that keeps to a rate of $of carries everything all the same', async ({ limit }) => {
    const relay = await startRelay(limit);
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 1024 * 1024);
    expect([bytes, received]).toEqual([1024 * 1024, sent]);
  });

  test('whose target is killed breaks for the source too', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    for (const connection of target.getConnections()) connection.abort(new Error('killed'));
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(async () => (await relay.metric('rustory_relay_circuits')) === 0, 'the circuit is gone');
  });

  test('goes over the newest live connection of its target', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const second = await target.dial(relay.address, { force: true });
    const stream = await dialEcho(source, relay, target);
    expect(second.streams.filter(({ protocol }) => protocol.endsWith('/stop'))).toHaveLength(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });
});

describe('a hop stream', () => {
  test('over a circuit is refused, for reservations as rust clients understand it', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const identity = await generateKeyPair('Ed25519');
    const inner = createHop({
      identity,
      ledger: createLedger({
        maxReservationsPerAddress: undefined,
        reservationsPerMinute: 60,
        circuitsPerMinute: 60,
        bytesPerSecondPerPeer: undefined,
        maxReservations: 8,
        maxCircuits: 8,
        maxCircuitsPerPeer: 8,
        reservationSeconds: 60,
      }),
      limit: { seconds: 60, bytes: 1024 },
      maxCircuitsPerPeer: 8,
      reservationSeconds: 60,
      idleSeconds: 60,
      buffers: createBuffers(1024),
      createCircuitRate: () => undefined,
      metrics: createRelayMetrics(cipher.name),
      log,
      addresses: () => [relay.address],
      connectionsTo: (peer) => target.getConnections(peer),
    });
    await target.handle(HOP_PROTOCOL, inner.handle, { runOnLimitedConnection: true });
    const address = circuitAddress(target);
    if (address === undefined) throw new Error('no circuit address');
    expect(await hop(source, { address }, RESERVE)).toEqual({
      type: 'STATUS',
      status: 'RESERVATION_REFUSED',
    });
    expect((await hop(source, { address }, connectTo(target))).status).toBe('PERMISSION_DENIED');
  });

  test.each([
    ['that is no message', Buffer.from([0x03, 0xff, 0xff, 0xff]), 'MALFORMED_MESSAGE'],
    [
      'of more than 4 KiB',
      Buffer.concat([Buffer.from([0x81, 0x20]), Buffer.alloc(4097)]),
      'MALFORMED_MESSAGE',
    ],
    ['whose length never ends', Buffer.alloc(32, 0xff), 'MALFORMED_MESSAGE'],
    ['that is a status', Buffer.from([0x02, 0x08, 0x02]), 'UNEXPECTED_MESSAGE'],
    [
      'that connects to no peer id',
      Buffer.from([0x08, 0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0xff, 0xff]),
      'MALFORMED_MESSAGE',
    ],
  ])('with a message %s is answered, and ends', async (_, bytes, status) => {
    const relay = await startRelay();
    const peer = await startPeer();
    const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL);
    const messages = pbStream(stream).pb(HopMessage);
    stream.send(bytes);
    expect((await messages.read({ signal: AbortSignal.timeout(10_000) })).status).toBe(status);
    await until(() => stream.remoteWriteStatus === 'closed', 'the stream has ended');
    expect(await relay.metric('rustory_relay_malformed_messages_total')).toBe(1);
    expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  });
});

test('a relay that drains refuses what is new and lets circuits finish', async () => {
  const relay = await startRelay();
  const [source, target] = [await startPeer(), await startPeer(relay)];
  const stream = await dialEcho(source, relay, target);
  let settled = false;
  const drained = relay.drain?.(AbortSignal.timeout(20_000)).then(() => (settled = true));
  expect((await hop(source, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  expect((await hop(source, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  expect(settled).toBe(false);
  const { sent, received } = await exchange(stream, 1_000_000);
  expect(received).toBe(sent);
  await source.stop();
  await drained;
});

test('a peer with another swarm key gets nowhere and is counted, and others notice nothing', async () => {
  const relay = await startRelay();
  const [source, target] = [await startPeer(), await startPeer(relay)];
  const stranger = await startPeer(undefined, { key: generateSwarmKey() });
  await expect(stranger.dial(relay.address)).rejects.toThrow('another swarm key');
  expect(await relay.metric('rustory_relay_handshakes_total{outcome="wrong_key"}')).toBe(1);
  expect((await exchange(await dialEcho(source, relay, target), 100_000)).bytes).toBe(100_000);
});

test('receivers that never read hold back their senders, not the relay or others', async () => {
  const relay = await startRelay({ RELAY_BUFFER_BYTES: 1024 * 1024 });
  const [source, target, other] = [await startPeer(), await startPeer(relay), await startPeer(relay)];
  const stalled: Stream[] = [];
  await target.handle('/test/never-reads', (stream) => void stalled.push(stream), {
    runOnLimitedConnection: true,
  });
  const address = circuitAddress(target);
  if (address === undefined) throw new Error('no circuit address');
  const senders = await Promise.all(
    Array.from({ length: 8 }, async (_, at) => {
      const from = at === 0 ? source : await startPeer();
      return from.dialProtocol(address, '/test/never-reads', { runOnLimitedConnection: true });
    }),
  );
  const chunk = randomBytes(64 * 1024);
  for (const sender of senders) {
    sender.addEventListener('drain', () => {
      while (sender.status === 'open' && sender.send(chunk));
    });
    while (sender.send(chunk));
  }
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) > 1024 * 1024,
    'the buffers are tight',
  );
  // Another circuit, to another device, works as if nothing were.
  const { sent, received } = await exchange(await dialEcho(await startPeer(), relay, other), 4 * 1024 * 1024);
  expect(received).toBe(sent);
  // A stream holds at most one window, whatever its sender would still like to send.
  expect(await relay.metric('rustory_relay_buffered_bytes')).toBeLessThan(8 * 2 * 1024 * 1024);
  for (const sender of senders) sender.abort(new Error('the test is over'));
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) === 0,
    'nothing waits any more',
  );
}, 30_000);

test('connections and reservations of one peer and one address have limits of their own', async () => {
  const relay = await startRelay({
    RELAY_MAX_CONNECTIONS_PER_PEER: 1,
    RELAY_ADDRESSES_ARE_REAL: true,
    RELAY_MAX_RESERVATIONS_PER_ADDRESS: 1,
    RELAY_MAX_CONNECTIONS_PER_ADDRESS: 3,
  });
  const [first, second, third, fourth] = [
    await startPeer(relay),
    await startPeer(),
    await startPeer(),
    await startPeer(),
  ];
  // Who is refused for who it is learns of it only when its handshake is over.
  await first.dial(relay.address, { force: true }).catch(() => {});
  const refused = 'rustory_relay_connections_refused_total';
  await until(
    async () => (await relay.metric(`${refused}{reason="peer"}`)) === 1,
    'the second one is refused',
  );
  expect((await hop(second, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  expect(await relay.metric('rustory_relay_reservation_requests_total{outcome="address"}')).toBe(1);
  await third.dial(relay.address);
  await fourth.dial(relay.address).catch(() => {});
  await until(
    async () => (await relay.metric(`${refused}{reason="address"}`)) === 1,
    'the fourth is refused',
  );
});

test('a relay with as many connections as it may have refuses the next and counts it', async () => {
  const relay = await startRelay({ RELAY_MAX_CONNECTIONS: 1 });
  const [first, second] = [await startPeer(relay), await startPeer()];
  await expect(second.dial(relay.address)).rejects.toThrow();
  expect(await relay.metric('rustory_relay_connections_refused_total{reason="all"}')).toBe(1);
  await first.stop();
  await until(
    async () => (await relay.metric('rustory_relay_connections{muxer="yamux"}')) === 0,
    'the first is gone',
  );
  expect((await hop(second, relay, RESERVE)).status).toBe('OK');
});

test('a relay without a dialable address refuses to start, and says what to do', async () => {
  await expect(startRelay({ RELAY_LOCAL: false })).rejects.toThrow('RELAY_ANNOUNCE is not set');
});
