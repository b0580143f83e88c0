import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { until } from '../../testing/wait.ts';
import { createHealth } from './lifecycle.ts';
import { createLogger } from './log.ts';
import { createOpsServer } from './ops.ts';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** More connections than the ops port accepts. */
const HELD = 100;

test.each([
  ['send nothing', ''],
  ['send a part of a request', 'GET /livez HTTP/1.1\r\nHost: '],
  ['were served and stay open', 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['request metrics and never read them', 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'],
])('probes are answered while 100 connections %s', async (_, bytes) => {
  const server = createOpsServer(
    { host: '127.0.0.1', port: 0 },
    createHealth(),
    new Registry(),
    createLogger('test', 'silent'),
  );
  await server.start();
  cleanups.push(() => server.stop());
  const { port = 0 } = server.address() ?? {};
  const held: Socket[] = [];
  for (let n = 0; n < HELD; n += 1) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write(bytes);
    held.push(socket);
    cleanups.push(() => socket.destroy());
  }
  await until(() => held.every((socket) => socket.bytesWritten === bytes.length), 'the connections are open');
  for (let n = 0; n < 3; n += 1)
    expect(
      await (await fetch(`http://127.0.0.1:${port}/livez`, { headers: { Connection: 'close' } })).text(),
    ).toBe('ok\n');
});
