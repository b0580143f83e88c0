import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { asMember, connectRaw, GREETING } from '../../testing/attacks.ts';
import { swarmKey } from '../../testing/relay-config.ts';
import { until } from '../../testing/wait.ts';
import { generateSwarmKey } from '../private-network/key.ts';
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

/** A bare TCP connection to the relay, closed after the test. */
function open({ address }: Pick<Relay, 'address'>): Socket {
  const socket = connectRaw({ address: address.toString() });
  onCleanup(() => socket.destroy());
  return socket;
}

/** What a hostile peer has at hand of the library, and an honest one leaves alone. */
interface Internals {
  readonly muxer: { send(data: Uint8Array): boolean };
  readonly maConn: { pause(): void };
}

/** A yamux frame that asks for an answer. */
const YAMUX_PING = Buffer.from('000200010000000000000000', 'hex');

const REFUSED = 'rustory_relay_connections_refused_total';
const HANDSHAKES = 'rustory_relay_handshakes_total';

test('a peer with another swarm key gets nowhere and is counted, and others notice nothing', async () => {
  const relay = await startRelay();
  const [source, target] = [await startPeer(), await startPeer(relay)];
  const stranger = await startPeer(undefined, { key: generateSwarmKey() });
  await expect(stranger.dial(relay.address)).rejects.toThrow('another swarm key');
  expect(await relay.metric('rustory_relay_handshakes_total{outcome="wrong_key"}')).toBe(1);
  expect((await exchange(await dialEcho(source, relay, target), 100_000)).bytes).toBe(100_000);
});

test('connections and reservations of one peer and one address have limits of their own', async () => {
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
  const relay = await startRelay({ limits: { connections: 1 } });
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

describe('connections that have not proved who they are', () => {
  test('have so many places, and whoever fills them keeps no device out', async () => {
    const relay = await startRelay({ limits: { pendingConnections: 4 } });
    const silent = Array.from({ length: 12 }, () => open(relay));
    await until(
      async () => (await relay.metric(`${REFUSED}{reason="pending"}`)) === 8,
      'those that have waited longest gave way',
    );
    expect(await relay.metric('rustory_relay_pending_connections')).toBe(4);
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
    await until(() => silent.filter(({ closed }) => closed).length === 9, 'they are closed');
    // Their end is not of their own making.
    expect(await relay.metric(`${HANDSHAKES}{outcome="no_nonce"}`)).toBe(0);
    expect(await relay.metric(`${HANDSHAKES}{outcome="ok"}`)).toBe(1);
  });

  test('and have the swarm key give way only while they are the more', async () => {
    const relay = await startRelay({ limits: { pendingConnections: 2 } });
    const members = [open(relay), open(relay)];
    for (const member of members) member.write(asMember(swarmKey, GREETING));
    await until(() => members.every(({ bytesRead }) => bytesRead > 24), 'both have shown the swarm key');
    const silent = open(relay);
    await until(() => members[0]?.closed === true, 'the older member has given way to a stranger');
    open(relay);
    await until(() => silent.closed, 'a stranger gives way to a stranger');
    expect(members[1]?.closed).toBe(false);
  });

  test('are counted when they had the swarm key and went no further', async () => {
    const relay = await startRelay({ limits: { handshakeSeconds: 1 } });
    const [gone, slow] = [open(relay), open(relay)];
    gone.end(asMember(swarmKey, GREETING));
    slow.write(asMember(swarmKey, GREETING));
    await until(
      async () => (await relay.metric(`${HANDSHAKES}{outcome="unfinished"}`)) === 2,
      'both are counted',
    );
    await until(() => slow.closed, 'the slow one is cut off');
    expect(await relay.metric('rustory_relay_pending_connections')).toBe(0);
  });
});

describe('a limit on connections holds also for those that come at once', () => {
  test('in all', async () => {
    const relay = await startRelay({ limits: { connections: 2 } });
    const peers = await Promise.all(Array.from({ length: 6 }, async () => startPeer()));
    await Promise.allSettled(peers.map(async (peer) => peer.dial(relay.address)));
    await until(async () => (await relay.metric(`${REFUSED}{reason="all"}`)) === 4, 'four are refused');
    expect(await relay.metric('rustory_relay_connections{muxer="yamux"}')).toBe(2);
  });

  test('of one peer', async () => {
    const relay = await startRelay({ limits: { connectionsPerPeer: 2 } });
    const identity = await generateKeyPair('Ed25519');
    const peers = await Promise.all(
      Array.from({ length: 6 }, async () => startPeer(undefined, { identity })),
    );
    await Promise.allSettled(peers.map(async (peer) => peer.dial(relay.address)));
    await until(async () => (await relay.metric(`${REFUSED}{reason="peer"}`)) === 4, 'four are refused');
    expect(await relay.metric('rustory_relay_connections{muxer="yamux"}')).toBe(2);
  });

  test('of one address, those in their handshake included', async () => {
    const relay = await startRelay({ limits: { connectionsPerAddress: 2 } });
    const sockets = Array.from({ length: 6 }, () => open(relay));
    await until(async () => (await relay.metric(`${REFUSED}{reason="address"}`)) === 4, 'four are refused');
    for (const socket of sockets) socket.destroy();
    await until(
      async () => (await relay.metric('rustory_relay_pending_connections')) === 0,
      'the places are free',
    );
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
  });
});

describe('a connection', () => {
  test('with neither a reservation nor a stream is closed after a while', async () => {
    const relay = await startRelay({ limits: { idleSeconds: 1 } });
    const [reserved, idle] = [await startPeer(relay), await startPeer()];
    const connection = await idle.dial(relay.address);
    await until(() => connection.status !== 'open', 'the idle one is closed');
    expect(await relay.metric('rustory_relay_idle_connections_closed_total')).toBe(1);
    expect(reserved.getConnections()).toHaveLength(1);
  });

  test('on which nothing arrives any more is closed, although its keepalive waits behind what was sent', async () => {
    const relay = await startRelay({ limits: { circuitIdleSeconds: 1 } });
    const proxy = await startProxy(relay);
    // mplex has no window that would hold the sender back before the socket does.
    const target = await startPeer(proxy, { muxers: muxers.slice(1) });
    const source = await startPeer();
    const stream = await dialEcho(source, relay, target);
    proxy.cut();
    const chunk = randomBytes(64 * 1024);
    const pour = (): void => {
      while (stream.writeStatus === 'writable' && stream.send(chunk));
    };
    stream.addEventListener('drain', pour);
    pour();
    await until(
      async () => (await relay.metric('rustory_relay_stuck_connections_closed_total')) === 1,
      'the connection is closed',
    );
    expect(await relay.metric('rustory_relay_reservations')).toBe(0);
  }, 30_000);

  test('whose peer asks without end and reads no answer is closed', async () => {
    const relay = await startRelay();
    const [peer, other] = [await startPeer(), await startPeer()];
    const connection = await peer.dial(relay.address);
    const { muxer, maConn } = connection as Connection & Internals;
    maConn.pause();
    for (let at = 0; connection.status === 'open' && at < 2_000; at += 1) {
      muxer.send(Buffer.concat(Array.from({ length: 5_000 }, () => YAMUX_PING)));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await until(
      async () => (await relay.metric('rustory_relay_connections{muxer="yamux"}')) === 0,
      'the relay has closed the connection',
    );
    expect((await hop(other, relay, RESERVE)).status).toBe('OK');
  }, 30_000);
});
