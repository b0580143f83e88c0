import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Stream } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { relayConfig } from '../../testing/relay-config.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { createLoopClock } from '../shared/loop-clock.ts';
import { createBuffers } from './buffers.ts';
import { createCircuitAdmission } from './circuit-admission.ts';
import { NO_HOP_EVENTS } from './hop-events.ts';
import { createHopTiming } from './hop-timing.ts';
import { createHop, type HopOptions } from './hop.ts';
import { createLibp2pConnections } from '../../testing/libp2p/connection.ts';
import { Libp2pStream } from '../../testing/libp2p/stream.ts';
import { HOP_PROTOCOL } from './messages.ts';
import { createRelayMetrics } from './metrics.ts';
import { createReservationStore } from './reservation-store.ts';
import { createRefusalLog } from './refusal-log.ts';
import { createUnreachablePeers } from './unreachable-peers.ts';
import {
  cipher,
  circuitAddress,
  connectTo,
  dialEcho,
  exchange,
  hop,
  log,
  RESERVE,
  startPeer,
  startRelay,
} from '../../testing/relay.ts';

afterEach(cleanUp);

/** The hop protocol without the other components of a relay. */
async function createBareHop(overrides: Partial<HopOptions>) {
  const config = await relayConfig();
  const metrics = createRelayMetrics(config.limits, cipher.name);
  const reservations = createReservationStore(config.limits);
  const hopSide = createHop({
    config,
    reservations,
    circuits: createCircuitAdmission(config.limits, reservations),
    buffers: createBuffers(config.limits),
    unreachablePeers: createUnreachablePeers({ log }),
    refusals: createRefusalLog(log, { areAddressesReal: false }),
    metrics,
    log,
    addresses: () => [],
    events: NO_HOP_EVENTS,
    ...createHopTiming(),
    ...overrides,
  });
  const connections = createLibp2pConnections(config.limits.circuitBufferBytes, createLoopClock());
  const handle = async (stream: Stream, connection: Connection): Promise<void> =>
    hopSide.handle(new Libp2pStream(connections.ofOpen(connection), stream));
  return { ...hopSide, handle, metrics };
}

const REFUSED = { type: 'STATUS', status: 'RESERVATION_REFUSED' };

describe('a hop stream', () => {
  test('gets no reservation from a relay without addresses', async () => {
    const node = await startPeer(undefined, { listen: ['/ip4/127.0.0.1/tcp/0'] });
    const bare = await createBareHop({});
    await node.handle(HOP_PROTOCOL, bare.handle);
    const [address] = node.getMultiaddrs();
    if (address === undefined) throw new Error('The node has no address.');
    expect(await hop(await startPeer(), { address }, RESERVE)).toEqual(REFUSED);
    expect(await bare.metrics.registry.metrics()).toContain('requests_total{outcome="no_address"} 1');
  });

  test('over a circuit is refused', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const inner = await createBareHop({ addresses: () => [relay.address] });
    await target.handle(HOP_PROTOCOL, inner.handle, { runOnLimitedConnection: true });
    const address = circuitAddress(target);
    if (address === undefined) throw new Error('The target has no circuit address.');
    expect(await hop(source, { address }, RESERVE)).toEqual(REFUSED);
    expect((await hop(source, { address }, connectTo(target))).status).toBe('PERMISSION_DENIED');
  });

  test.each([
    ['that is not protobuf', Buffer.from([0x03, 0xff, 0xff, 0xff]), 'MALFORMED_MESSAGE'],
    [
      'of more than 4 KiB',
      Buffer.concat([Buffer.from([0x81, 0x20]), Buffer.alloc(4097)]),
      'MALFORMED_MESSAGE',
    ],
    ['whose length does not end', Buffer.alloc(32, 0xff), 'MALFORMED_MESSAGE'],
    ['that is a status', Buffer.from([0x02, 0x08, 0x02]), 'UNEXPECTED_MESSAGE'],
    [
      'whose target is not a peer id',
      Buffer.from([0x08, 0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0xff, 0xff]),
      'MALFORMED_MESSAGE',
    ],
  ])('with a message %s gets an error status and is closed', async (_, bytes, status) => {
    const relay = await startRelay();
    const peer = await startPeer();
    const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL);
    const messages = pbStream(stream).pb(HopMessage);
    stream.send(bytes);
    expect((await messages.read({ signal: deadlineSignal() })).status).toBe(status);
    await until(() => stream.remoteWriteStatus === 'closed', 'the stream is closed');
    expect(await relay.metric('rustory_relay_malformed_messages_total')).toBe(1);
    expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  });
});

test('a peer above its request rate is refused, and the refusal is counted', async () => {
  const relay = await startRelay({ limits: { reservationsPerMinute: 1, circuitsPerMinute: 1 } });
  const identity = await generateKeyPair('Ed25519');
  const [peer, other] = [await startPeer(undefined, { identity }), await startPeer()];
  expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  // A refresh does not count, a reservation on another connection does.
  expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  const second = await startPeer(undefined, { identity });
  expect(await hop(second, relay, RESERVE)).toEqual(REFUSED);
  expect((await hop(peer, relay, connectTo(other))).status).toBe('NO_RESERVATION');
  expect((await hop(peer, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  for (const kind of ['reservation', 'circuit'])
    expect(await relay.metric(`rustory_relay_${kind}_requests_total{outcome="rate"}`)).toBe(1);
});

test('a draining relay refuses new requests, but no refresh, and lets circuits finish', async () => {
  const relay = await startRelay();
  const [source, target] = [await startPeer(), await startPeer(relay)];
  const stream = await dialEcho(source, relay, target);
  let isDrained = false;
  const drained = relay.drain?.(deadlineSignal()).then(() => (isDrained = true));
  expect((await hop(source, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  expect((await hop(target, relay, RESERVE)).status).toBe('OK');
  expect((await hop(source, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  expect(isDrained).toBe(false);
  const { sent, received } = await exchange(stream, 1_000_000);
  expect(received).toBe(sent);
  await source.stop();
  await drained;
});

test('a relay without a dialable address does not start and names the variable to set', async () => {
  await expect(startRelay({ isLocal: false })).rejects.toThrow('RELAY_ANNOUNCE is not set');
});
