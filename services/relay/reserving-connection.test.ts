// A device of rr 1.x has several connections under one peer id, of which one reserves and accepts circuits.
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p, PrivateKey } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import type { RelayAddress } from '../../testing/load-devices.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { startProxy } from '../../testing/proxy.ts';
import {
  connectTo,
  dialEcho,
  exchange,
  hop,
  type Relay,
  RESERVE,
  startPeer,
  startRelay,
} from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';
import type { HopEvents } from './hop-events.ts';
import { EVICTABLE_MS } from './liveness-limits.ts';
import { HOP_PROTOCOL, STOP_PROTOCOL } from './messages.ts';

afterEach(cleanUp);

const RESERVATIONS = 'rustory_relay_reservations';
const CONNECTIONS = 'rustory_relay_connections{muxer="yamux"}';

/** Another process of the device: it has a connection to the relay and accepts no circuits. */
async function startSync(relay: RelayAddress, identity: PrivateKey): Promise<Libp2p> {
  const peer = await startPeer(undefined, { identity });
  await peer.unhandle(STOP_PROTOCOL);
  await peer.dial(multiaddr(relay.address));
  return peer;
}

async function expectCircuit(relay: Relay, target: Libp2p): Promise<void> {
  const source = await startPeer();
  expect((await exchange(await dialEcho(source, relay, target), 1_000)).bytes).toBe(1_000);
  await source.stop();
}

describe('a reservation belongs to the connection that made it', () => {
  test('a circuit opens on it, although the peer has newer connections that accept none', async () => {
    const relay = await startRelay();
    const identity = await generateKeyPair('Ed25519');
    const server = await startPeer(relay, { identity });
    for (let count = 0; count < 6; count += 1) await startSync(relay, identity);
    await expectCircuit(relay, server);
  });

  test('it ends with this connection, although the peer has others', async () => {
    const relay = await startRelay();
    const identity = await generateKeyPair('Ed25519');
    const server = await startPeer(relay, { identity });
    const sync = await startSync(relay, identity);
    await server.stop();
    await until(async () => (await relay.metric(RESERVATIONS)) === 0, 'the reservation is released');
    expect(await relay.metric(CONNECTIONS)).toBe(1);
    expect((await hop(await startPeer(), relay, connectTo(sync))).status).toBe('NO_RESERVATION');
  });

  test('it stays when another connection of the peer closes', async () => {
    const relay = await startRelay();
    const identity = await generateKeyPair('Ed25519');
    const server = await startPeer(relay, { identity });
    const sync = await startSync(relay, identity);
    await sync.stop();
    await until(async () => (await relay.metric(CONNECTIONS)) === 1, 'the other connection is closed');
    expect(await relay.metric(RESERVATIONS)).toBe(1);
    await expectCircuit(relay, server);
  });

  test('it is not left over when the connection closes while the request is served', async () => {
    const relay = await startRelay();
    for (let count = 0; count < 20; count += 1) {
      const peer = await startPeer();
      const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL);
      await pbStream(stream).pb(HopMessage).write(RESERVE);
      for (const connection of peer.getConnections()) connection.abort(new Error('The device is gone.'));
      await peer.stop();
    }
    await until(async () => (await relay.metric(CONNECTIONS)) === 0, 'all connections are closed');
    expect(await relay.metric(RESERVATIONS)).toBe(0);
  });
});

describe('a peer that reserves on another connection', () => {
  test('gets circuits there; the first connection stays because it answers a ping', async () => {
    const released: string[] = [];
    const events: HopEvents = {
      granted: ({ kind }) => released.push(kind),
      released: ({ reason }) => released.push(reason),
    };
    const clock = createManualClock();
    const relay = await startRelay({}, { clock, events });
    const identity = await generateKeyPair('Ed25519');
    const first = await startPeer(relay, { identity });
    await first.unhandle(STOP_PROTOCOL);
    const second = await startPeer(relay, { identity });
    await expectCircuit(relay, second);
    clock.advance(60_000);
    expect([await relay.metric(RESERVATIONS), first.getConnections().length]).toEqual([1, 1]);
    await first.stop();
    await until(async () => (await relay.metric(CONNECTIONS)) === 1, 'the first connection is closed');
    await expectCircuit(relay, second);
    expect(released).toEqual(['new', 'moved', 'moved']);
  });

  test('loses the first connection when it does not answer a ping within 10 s', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const proxy = await startProxy(relay);
    const identity = await generateKeyPair('Ed25519');
    await startPeer(proxy, { identity });
    proxy.cut();
    const second = await startPeer(relay, { identity });
    expect(await relay.metric(CONNECTIONS)).toBe(2);
    await until(async () => {
      clock.advance(1_000);
      return (await relay.metric(CONNECTIONS)) === 1;
    }, 'the first connection is closed');
    expect(await relay.metric('rustory_relay_superseded_connections_closed_total')).toBe(1);
    await expectCircuit(relay, second);
  });
});

describe('the connections of one peer', () => {
  test('that are quiet are closed for a new one at the limit', async () => {
    const clock = createManualClock();
    const relay = await startRelay({ limits: { connectionsPerPeer: 2 } }, { clock });
    const proxy = await startProxy(relay);
    const identity = await generateKeyPair('Ed25519');
    await startPeer(proxy, { identity });
    await startSync(proxy, identity);
    await until(async () => (await relay.metric(CONNECTIONS)) === 2, 'both are connected');
    proxy.cut();
    clock.advance(EVICTABLE_MS);
    // Without a reservation the quiet connection goes first.
    await startSync(relay, identity);
    await until(async () => (await relay.metric(CONNECTIONS)) === 2, 'one quiet connection is closed');
    expect(await relay.metric(RESERVATIONS)).toBe(1);
    const server = await startPeer(relay, { identity });
    await until(async () => (await relay.metric(CONNECTIONS)) === 2, 'both quiet connections are closed');
    await expectCircuit(relay, server);
    expect(await relay.metric('rustory_relay_connections_refused_total{reason="quiet"}')).toBe(2);
    expect(await relay.metric('rustory_relay_connections_refused_total{reason="peer"}')).toBe(0);
  });

  test('are closed at the idle timeout, although the peer has a reservation on another one', async () => {
    const relay = await startRelay({ limits: { idleSeconds: 1 } });
    const identity = await generateKeyPair('Ed25519');
    const server = await startPeer(relay, { identity });
    const sync = await startSync(relay, identity);
    await until(() => sync.getConnections().length === 0, 'the idle connection is closed');
    await expectCircuit(relay, server);
  });
});
