import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { countOpenResources, findLeaks } from './open-resources.ts';

test('reports a server and a timer that are left open, and nothing after they are closed', async () => {
  const before = countOpenResources();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const timer = setInterval(() => {}, 1_000_000);
  expect(await findLeaks(before, 0)).toEqual(['1 TCPServerWrap', '1 Timeout']);
  server.close();
  clearInterval(timer);
  expect(await findLeaks(before, 60_000)).toEqual([]);
});

test('ignores resources that do not keep the process alive', async () => {
  const before = countOpenResources();
  const timer = setInterval(() => {}, 1_000_000).unref();
  expect(await findLeaks(before, 0)).toEqual([]);
  clearInterval(timer);
});
