import { setImmediate as nextRound } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createHandshakeQueue } from './handshake-queue.ts';

afterEach(cleanUp);

interface Connection {
  reads: number;
}

const createConnection = (): Connection => ({ reads: 0 });

/** A connection whose client sends without a pause. */
function createBusyConnection(): Connection {
  let reads = 0;
  return {
    get reads() {
      return (reads += 1);
    },
  };
}

/** A queue with few turns at a time, and the connections of a few clients. */
function setUp(connections: readonly Connection[], maxBusy = 1) {
  const queue = createHandshakeQueue<Connection>(maxBusy);
  const order: number[] = [];
  connections.forEach((connection, index) => queue.enter(connection, () => void order.push(index)));
  onCleanup(() => connections.forEach((connection) => queue.remove(connection)));
  return { queue, order };
}

test('handshakes have their turns in order of arrival, each after the end of the one before', () => {
  const connections = [createConnection(), createConnection(), createConnection()];
  const { queue, order } = setUp(connections);
  expect({ order, waiting: queue.waiting() }).toEqual({ order: [0], waiting: 2 });
  connections.forEach((connection, index) => {
    expect(order).toEqual([0, 1, 2].slice(0, index + 1));
    queue.remove(connection);
  });
  expect({ order, waiting: queue.waiting() }).toEqual({ order: [0, 1, 2], waiting: 0 });
});

test('a client that sends nothing after its turn has come delays no other', async () => {
  const connections = [createConnection(), createConnection()];
  const { queue, order } = setUp(connections);
  await until(() => order.length === 2, 'the second one has its turn');
  await until(() => [...queue.quiet()][0] === connections[0], 'the silent one is quiet');
  if (connections[0] !== undefined) connections[0].reads += 1;
  await until(() => ![...queue.quiet()].includes(connections[0] ?? createConnection()), 'it is busy again');
});

test('a handshake whose connection closes while it waits never has its turn', () => {
  const connections = [createBusyConnection(), createConnection(), createConnection()] as const;
  const { queue, order } = setUp(connections);
  queue.remove(connections[1]);
  expect(queue.lastWaiting()).toBe(connections[2]);
  queue.remove(connections[0]);
  expect(order).toEqual([0, 2]);
});

test('clients that send without a pause hold turns for a limited time', async () => {
  const connections = Array.from({ length: 16 }, () => createBusyConnection());
  const { order } = setUp([...connections, createConnection()], 16);
  expect(order).toHaveLength(16);
  await until(() => order.length === 17, 'the last one has its turn');
});

test('turns that end at once are followed by all others, however many wait', async () => {
  const queue = createHandshakeQueue<Connection>(16);
  const connections = Array.from({ length: 20_000 }, () => createConnection());
  const blocking = Array.from({ length: 16 }, () => createBusyConnection());
  for (const connection of blocking) queue.enter(connection, () => {});
  let turns = 0;
  for (const connection of connections)
    queue.enter(connection, () => {
      turns += 1;
      queue.remove(connection);
    });
  for (const connection of blocking) queue.remove(connection);
  await nextRound();
  expect({ turns, waiting: queue.waiting() }).toEqual({ turns: 20_000, waiting: 0 });
});
