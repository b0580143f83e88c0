import { afterEach, expect, test } from '@jest/globals';
import type { MultiaddrConnection } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { listen } from '../../testing/protected-connections.ts';
import { until } from '../../testing/wait.ts';
import { createHandshakeQueue, NoTurnError } from './handshake-queue.ts';

afterEach(cleanUp);

/** A queue with one turn at a time, and the inbound connections of a few clients. */
async function setUp(clients: number) {
  const { accepted, dial } = await listen();
  const dialed: MultiaddrConnection[] = [];
  for (let index = 0; index < clients; index += 1) dialed.push(await dial());
  const queue = createHandshakeQueue(1);
  const order: number[] = [];
  const turns = accepted.map(async (connection, index) => {
    await queue.enter(connection);
    order.push(index);
  });
  onCleanup(() => accepted.forEach((connection) => queue.remove(connection)));
  return { accepted, dialed, queue, order, turns };
}

/** Sends without a pause until the test ends, as a client whose messages the relay cannot process fast enough. */
function keepBusy(connection: MultiaddrConnection | undefined): void {
  const timer = setInterval(() => connection?.send(Buffer.from('x')), 1);
  onCleanup(() => clearInterval(timer));
}

test('handshakes have their turns in order of arrival, each after the end of the one before', async () => {
  const { accepted, queue, order, turns } = await setUp(3);
  await turns[0];
  expect({ order, waiting: queue.waiting() }).toEqual({ order: [0], waiting: 2 });
  for (const [index, connection] of accepted.entries()) {
    await turns[index];
    queue.remove(connection);
  }
  expect({ order, waiting: queue.waiting() }).toEqual({ order: [0, 1, 2], waiting: 0 });
});

test('a client that sends nothing after its turn has come delays no other', async () => {
  const { accepted, order, queue, turns } = await setUp(2);
  await turns[1];
  expect(order).toEqual([0, 1]);
  await until(() => queue.firstQuiet() === accepted[0], 'the silent one is quiet');
});

test('a handshake whose connection closes while it waits never has its turn', async () => {
  const { accepted, dialed, queue, order, turns } = await setUp(3);
  keepBusy(dialed[0]);
  const [first, second] = accepted;
  if (first === undefined || second === undefined) throw new Error('Two connections were accepted.');
  queue.remove(second);
  await expect(turns[1]).rejects.toThrow(NoTurnError);
  expect(queue.lastWaiting()).toBe(accepted[2]);
  queue.remove(first);
  await turns[2];
  expect(order).toEqual([0, 2]);
});
