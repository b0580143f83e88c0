import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { authenticate, connectRaw } from '../../testing/attacks.ts';
import { GREETING } from '../../testing/stock-psk.ts';
import { swarmKey } from '../../testing/relay-config.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { until } from '../../testing/wait.ts';
import { DEAD_MS } from './liveness-limits.ts';
import { generateSwarmKey } from '../private-network/key.ts';
import { flood } from '../../testing/load-devices.ts';
import { startProxy } from '../../testing/proxy.ts';
import {
  dialEcho,
  exchange,
  hop,
  muxers,
  type Relay,
  RESERVE,
  startPeer,
  startRelay,
} from '../../testing/relay.ts';

afterEach(cleanUp);

/** A raw TCP connection to the relay, closed after the test. */
function open(relay: Relay): Socket {
  const socket = connectRaw(relay);
  onCleanup(() => socket.destroy());
  return socket;
}

const REFUSED = 'rustory_relay_connections_refused_total';
const HANDSHAKES = 'rustory_relay_handshakes_total';

test('a peer with another swarm key is rejected and counted, and does not disturb others', async () => {
  const relay = await startRelay();
  const [source, target] = [await startPeer(), await startPeer(relay)];
  const other = await startPeer(undefined, { key: generateSwarmKey() });
  await expect(other.dial(relay.address)).rejects.toThrow('another swarm key');
  expect(await relay.metric('rustory_relay_handshakes_total{outcome="wrong_key"}')).toBe(1);
  expect((await exchange(await dialEcho(source, relay, target), 100_000)).bytes).toBe(100_000);
});

test('connections of one peer, connections from one address and reservations from one address are limited', async () => {
  const relay = await startRelay({
    limits: {
      connectionsPerPeer: 1,
      reservationsPerAddress: 1,
      connectionsPerAddress: 3,
    },
  });
  const [first, second, third, fourth] = [
    await startPeer(relay),
    await startPeer(),
    await startPeer(),
    await startPeer(),
  ];
  // The peer is known only after the handshake, so the dial itself may succeed.
  await first.dial(relay.address, { force: true }).catch(() => {});
  const refused = 'rustory_relay_connections_refused_total';
  await until(
    async () => (await relay.metric(`${refused}{reason="peer"}`)) === 1,
    'the second connection of the peer is refused',
  );
  expect((await hop(second, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  expect(await relay.metric('rustory_relay_reservation_requests_total{outcome="address"}')).toBe(1);
  await third.dial(relay.address);
  await fourth.dial(relay.address).catch(() => {});
  await until(
    async () => (await relay.metric(`${refused}{reason="address"}`)) === 1,
    'the fourth connection from the address is refused',
  );
});

test('a relay with the maximum number of connections refuses the next one and counts it', async () => {
  const relay = await startRelay({ limits: { connections: 1 } });
  const [first, second] = [await startPeer(relay), await startPeer()];
  await expect(second.dial(relay.address)).rejects.toThrow();
  expect(await relay.metric('rustory_relay_connections_refused_total{reason="all"}')).toBe(1);
  await first.stop();
  await until(
    async () => (await relay.metric('rustory_relay_connections{muxer="yamux"}')) === 0,
    'the first connection is closed',
  );
  expect((await hop(second, relay, RESERVE)).status).toBe('OK');
});

describe('pending handshakes', () => {
  test('are limited, and do not prevent a device from connecting', async () => {
    const relay = await startRelay({ limits: { pendingConnections: 4 } });
    const silent = Array.from({ length: 12 }, () => open(relay));
    await until(
      async () => (await relay.metric(`${REFUSED}{reason="pending"}`)) === 8,
      'the oldest are evicted',
    );
    expect(await relay.metric('rustory_relay_pending_connections')).toBe(4);
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
    await until(() => silent.filter(({ closed }) => closed).length === 9, 'the evicted ones are closed');
    // An eviction is not the outcome of a handshake.
    expect(await relay.metric(`${HANDSHAKES}{outcome="no_nonce"}`)).toBe(0);
    expect(await relay.metric(`${HANDSHAKES}{outcome="ok"}`)).toBe(1);
  });

  test('are evicted from the larger group, authenticated or unauthenticated, oldest first', async () => {
    const relay = await startRelay({ limits: { pendingConnections: 2 } });
    const authenticated = [open(relay), open(relay)];
    for (const socket of authenticated) socket.write(authenticate(swarmKey, GREETING));
    await until(() => authenticated.every(({ bytesRead }) => bytesRead > 24), 'both are authenticated');
    const silent = open(relay);
    await until(() => authenticated[0]?.closed === true, 'the older authenticated one is evicted');
    open(relay);
    await until(() => silent.closed, 'the unauthenticated one is evicted');
    expect(authenticated[1]?.closed).toBe(false);
  });

  test('are counted as unfinished when they are authenticated and did not complete', async () => {
    const relay = await startRelay({ limits: { handshakeSeconds: 1 } });
    const [gone, slow] = [open(relay), open(relay)];
    gone.end(authenticate(swarmKey, GREETING));
    slow.write(authenticate(swarmKey, GREETING));
    await until(
      async () => (await relay.metric(`${HANDSHAKES}{outcome="unfinished"}`)) === 2,
      'both are counted',
    );
    await until(() => slow.closed, 'the slow one is closed');
    expect(await relay.metric('rustory_relay_pending_connections')).toBe(0);
  });
});

describe('connections that arrive at the same time are limited', () => {
  test('in total', async () => {
    const relay = await startRelay({ limits: { connections: 2 } });
    const peers = await Promise.all(Array.from({ length: 6 }, async () => startPeer()));
    await Promise.allSettled(peers.map(async (peer) => peer.dial(relay.address)));
    await until(
      async () =>
        (await relay.metric(`${REFUSED}{reason="all"}`)) +
          (await relay.metric(`${REFUSED}{reason="idle"}`)) ===
        4,
      'four are refused or evicted',
    );
    expect(await relay.metric('rustory_relay_connections{muxer="yamux"}')).toBe(2);
  });

  test('for one peer', async () => {
    const relay = await startRelay({ limits: { connectionsPerPeer: 2 } });
    const identity = await generateKeyPair('Ed25519');
    const peers = await Promise.all(
      Array.from({ length: 6 }, async () => startPeer(undefined, { identity })),
    );
    await Promise.allSettled(peers.map(async (peer) => peer.dial(relay.address)));
    await until(async () => (await relay.metric(`${REFUSED}{reason="peer"}`)) === 4, 'four are refused');
    expect(await relay.metric('rustory_relay_connections{muxer="yamux"}')).toBe(2);
  });

  test('from one address, pending handshakes included', async () => {
    const relay = await startRelay({ limits: { connectionsPerAddress: 2 } });
    const sockets = Array.from({ length: 6 }, () => open(relay));
    await until(async () => (await relay.metric(`${REFUSED}{reason="address"}`)) === 4, 'four are refused');
    for (const socket of sockets) socket.destroy();
    await until(
      async () => (await relay.metric('rustory_relay_pending_connections')) === 0,
      'no handshake is pending',
    );
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
  });
});

describe('a connection', () => {
  test('with neither a reservation nor a stream is closed at the idle timeout', async () => {
    const relay = await startRelay({ limits: { idleSeconds: 1 } });
    const [reserved, idle] = [await startPeer(relay), await startPeer()];
    const connection = await idle.dial(relay.address);
    await until(() => connection.status !== 'open', 'the idle connection is closed');
    expect(await relay.metric('rustory_relay_idle_connections_closed_total')).toBe(1);
    expect(reserved.getConnections()).toHaveLength(1);
  });

  test('that accepts no bytes survives while it is quiet, until it is dead', async () => {
    const clock = createManualClock();
    const relay = await startRelay({ limits: { circuitIdleSeconds: 1, idleSeconds: 5 } }, { clock });
    const proxy = await startProxy(relay);
    const target = await startPeer(proxy, { muxers: muxers.slice(1) });
    const source = await startPeer();
    const stream = await dialEcho(source, relay, target);
    proxy.cut();
    flood(stream);
    await until(() => stream.status !== 'open', 'the circuit has ended, because no byte passes');
    for (let minutes = 0; minutes < 20; minutes += 5) {
      clock.advance(5 * 60_000);
      // The check that closes an idle connection has also looked at the target.
      const idle = await startPeer();
      await idle.dial(relay.address);
      await until(() => {
        clock.advance(1_000);
        return idle.getConnections().length === 0;
      }, 'an idle connection is closed');
      expect(await relay.metric('rustory_relay_reservations')).toBe(1);
    }
    clock.advance(DEAD_MS);
    await until(
      async () => (await relay.metric('rustory_relay_stuck_connections_closed_total')) === 1,
      'the dead connection is closed',
    );
    expect(await relay.metric('rustory_relay_reservations')).toBe(0);
  });

  test('that sends bytes but accepts none is closed', async () => {
    const relay = await startRelay({ limits: { circuitIdleSeconds: 1 } });
    const proxy = await startProxy(relay);
    // mplex has no window, so only the socket slows the sender down.
    const target = await startPeer(proxy, { muxers: muxers.slice(1) });
    const source = await startPeer();
    const stream = await dialEcho(source, relay, target);
    proxy.cut();
    flood(stream);
    await until(
      async () => (await relay.metric('rustory_relay_stuck_connections_closed_total')) === 1,
      'the connection is closed',
    );
    expect(await relay.metric('rustory_relay_reservations')).toBe(0);
  });
});
