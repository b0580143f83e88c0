import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { authenticate, connectRaw } from '../../../testing/attacks.ts';
import { GREETING } from '../../../testing/stock-psk.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import {
  createTestDialer,
  startDevice,
  startServingDevice,
  startTestRelay,
  testSwarmKey,
} from '../../../testing/peer.ts';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { INBOUND_LIMITS } from './inbound-limits.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];

/**
 * A new connection of a flood each so many milliseconds. A timer that is late is not made up for, so a busy machine has a
 * slower flood.
 */
const FLOOD_INTERVAL_MS = 1;

/** Holds many connections to the device, each of which starts with these bytes, and replaces those that it closes. */
function flood(address: string, start: () => Buffer): { opened(): number } {
  let opened = 0;
  const sockets = new Set<Socket>();
  const timer = setInterval(() => {
    if (sockets.size >= 2 * INBOUND_LIMITS.pendingConnections) return;
    opened += 1;
    const socket = connectRaw({ address: multiaddr(address) });
    sockets.add(socket);
    socket.write(start());
    socket.on('close', () => sockets.delete(socket));
  }, FLOOD_INTERVAL_MS);
  onCleanup(() => {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  });
  return { opened: () => opened };
}

describe('a flood of pending handshakes', () => {
  test.each([
    ['of clients without the swarm key', () => Buffer.alloc(0)],
    ['of clients that send half a nonce', () => Buffer.alloc(12)],
    ['of clients with the swarm key that stop', () => authenticate(testSwarmKey, GREETING)],
  ])('%s shuts out neither circuits nor direct connections', async (_, start) => {
    const relay = await startTestRelay();
    // A name, because a circuit has the address of its relay.
    const named = relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/');
    const server = await startServingDevice([named], { listen: LOOPBACK });
    const direct =
      server.node.libp2p
        .getMultiaddrs()
        .map(String)
        .find((each) => !each.includes('circuit')) ?? '';
    const { opened } = flood(direct, start);
    await until(() => opened() > 3 * INBOUND_LIMITS.pendingConnections, 'handshakes are evicted');
    const { peerId } = server;
    for (const [strategy, addresses] of [
      ['relay-only', []],
      ['direct-first', [direct]],
    ] as const) {
      const client = await startDevice();
      const dialer = createTestDialer(client.node, strategy === 'relay-only' ? [named] : [], strategy);
      const { connection } = await dialer.connect({ peerId, addresses }, WAIT_TIMEOUT_MS);
      expect(connection.remotePeer.toString()).toBe(peerId);
    }
    expect(server.reservations.addresses()).not.toEqual([]);
  });
});

test('a device with the maximum of direct connections closes the longest idle one, and still accepts circuits', async () => {
  const relay = await startTestRelay();
  const server = await startServingDevice([relay.address], { listen: LOOPBACK });
  const direct =
    server.node.libp2p
      .getMultiaddrs()
      .map(String)
      .find((each) => !each.includes('circuit')) ?? '';
  const client = await startDevice();
  const dialer = createTestDialer(client.node, [], 'direct-first');
  const target = { peerId: server.peerId, addresses: [direct] };
  const connections: Connection[] = [];
  for (let count = 0; count <= INBOUND_LIMITS.connections; count += 1)
    connections.push((await dialer.connect(target, WAIT_TIMEOUT_MS)).connection);
  await until(() => connections.some(({ status }) => status !== 'open'), 'an idle connection is closed');
  expect(connections.at(-1)?.status).toBe('open');
  const other = await startDevice();
  const circuit = await createTestDialer(other.node, [relay.address], 'relay-only').connect(
    { peerId: server.peerId, addresses: [] },
    WAIT_TIMEOUT_MS,
  );
  expect(circuit.address).toContain('/p2p-circuit');
});
