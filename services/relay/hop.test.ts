import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { pbStream } from '@libp2p/utils';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createBuffers } from './buffers.ts';
import { createHop, type HopOptions } from './hop.ts';
import { createLedger } from './admission.ts';
import { HOP_PROTOCOL } from './messages.ts';
import { createRelayMetrics } from './metrics.ts';
import {
  cipher,
  circuitAddress,
  connectTo,
  dialEcho,
  exchange,
  hop,
  log,
  relayConfig,
  RESERVE,
  startPeer,
  startRelay,
} from '../../testing/relay.ts';

afterEach(cleanUp);

/** The hop side by itself, for a node that is no relay otherwise. */
async function createBareHop(overrides: Partial<HopOptions>) {
  const metrics = createRelayMetrics((await relayConfig()).limits, cipher.name);
  const hopSide = createHop({
    identity: await generateKeyPair('Ed25519'),
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
    buffers: createBuffers(1024, 1024),
    createCircuitRate: () => undefined,
    metrics,
    log,
    addresses: () => [],
    connectionsTo: () => [],
    ...overrides,
  });
  return { ...hopSide, metrics };
}

const REFUSED = { type: 'STATUS', status: 'RESERVATION_REFUSED' };

describe('a hop stream', () => {
  test('to a relay that has lost its addresses gets no reservation, rather than one without any', async () => {
    const node = await startPeer(undefined, { listen: ['/ip4/127.0.0.1/tcp/0'] });
    const bare = await createBareHop({ connectionsTo: (peer) => node.getConnections(peer) });
    await node.handle(HOP_PROTOCOL, bare.handle);
    const [address] = node.getMultiaddrs();
    if (address === undefined) throw new Error('no address');
    expect(await hop(await startPeer(), { address }, RESERVE)).toEqual(REFUSED);
    expect(await bare.metrics.registry.metrics()).toContain('requests_total{outcome="no_address"} 1');
  });

  test('over a circuit is refused, for reservations as rust clients understand it', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const inner = await createBareHop({
      addresses: () => [relay.address],
      connectionsTo: (peer) => target.getConnections(peer),
    });
    await target.handle(HOP_PROTOCOL, inner.handle, { runOnLimitedConnection: true });
    const address = circuitAddress(target);
    if (address === undefined) throw new Error('no circuit address');
    expect(await hop(source, { address }, RESERVE)).toEqual(REFUSED);
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

test('a peer that asks too often is refused, for reservations as rust clients understand it, and counted', async () => {
  const relay = await startRelay({ limits: { reservationsPerMinute: 1, circuitsPerMinute: 1 } });
  const [peer, other] = [await startPeer(), await startPeer()];
  expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  expect(await hop(peer, relay, RESERVE)).toEqual(REFUSED);
  expect((await hop(peer, relay, connectTo(other))).status).toBe('NO_RESERVATION');
  expect((await hop(peer, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  for (const kind of ['reservation', 'circuit'])
    expect(await relay.metric(`rustory_relay_${kind}_requests_total{outcome="rate"}`)).toBe(1);
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

test('a relay without a dialable address refuses to start, and says what to do', async () => {
  await expect(startRelay({ isLocal: false })).rejects.toThrow('RELAY_ANNOUNCE is not set');
});
