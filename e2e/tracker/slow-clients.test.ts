import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

/** Longer than the tracker waits for a whole request. */
const PATIENCE_MS = 40_000;

const POST = 'POST /api/v1/peers/register HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n';

let tracker: TrackerProcess;
const sockets: Socket[] = [];

beforeAll(async () => {
  tracker = await startTracker();
});
afterAll(() => tracker.end('SIGKILL'));
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

interface Client {
  readonly socket: Socket;
  readonly received: () => string;
  readonly isClosed: () => boolean;
}

async function client(): Promise<Client> {
  const socket = connect(Number(new URL(tracker.url).port), '127.0.0.1');
  sockets.push(socket);
  let text = '';
  let closed = false;
  socket.on('data', (data) => (text += data.toString()));
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  await once(socket, 'connect');
  return { socket, received: () => text, isClosed: () => closed };
}

/** Sends a byte a second until the other side had enough. */
function drip(socket: Socket): void {
  const timer = setInterval(() => socket.write('x'), 1_000);
  socket.on('close', () => clearInterval(timer));
}

async function pings(): Promise<boolean> {
  return (await fetch(`${tracker.url}/api/v1/ping`)).status === 200;
}

describe('a client that holds a connection', () => {
  test(
    'by sending a byte a second is told that its time is up, in the header as in the body',
    async () => {
      const header = await client();
      header.socket.write('GET /api/v1/ping HTTP/1.1\r\nX: ');
      drip(header.socket);
      const body = await client();
      body.socket.write(`${POST}Content-Length: 1000\r\n\r\n`);
      drip(body.socket);
      await until(() => header.isClosed() && body.isClosed(), 'both are closed', PATIENCE_MS);
      expect(header.received()).toMatch(/^HTTP\/1\.1 408 /);
      expect(header.received()).toContain('Retry-After: 1');
      expect(body.received()).toMatch(/^HTTP\/1\.1 408 /);
      expect(await pings()).toBe(true);
    },
    PATIENCE_MS,
  );

  test(
    'without sending anything is closed',
    async () => {
      const silent = await client();
      await until(silent.isClosed, 'it is closed', PATIENCE_MS);
      expect(await pings()).toBe(true);
    },
    PATIENCE_MS,
  );

  test('with a header of a megabyte is refused at once', async () => {
    const large = await client();
    large.socket.write(`GET /api/v1/ping HTTP/1.1\r\nX: ${'x'.repeat(1_000_000)}`);
    await until(large.isClosed, 'it is closed');
    expect(large.received()).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('with a body that is declared too large is refused before it is sent, and closed', async () => {
    const large = await client();
    large.socket.write(`${POST}Content-Length: 10000000000\r\n\r\n{"peer_id":`);
    await until(large.isClosed, 'it is closed');
    expect(large.received()).toMatch(/^HTTP\/1\.1 413 /);
    expect(large.received()).toContain('body_too_large');
  });

  test('with an endless body of pieces is refused when it has been too much', async () => {
    const endless = await client();
    endless.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    for (let n = 0; n < 8; n += 1) endless.socket.write(piece);
    await until(() => endless.received().includes('body_too_large'), 'it is refused');
    await until(endless.isClosed, 'it is closed');
  });

  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['two lengths', `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
    ['a length and pieces', `${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a NUL in a header', `GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n`],
    ['no host', 'GET /api/v1/ping HTTP/1.1\r\n\r\n'],
  ])('with %s is refused and closed', async (_, bytes) => {
    const broken = await client();
    broken.socket.write(bytes);
    await until(broken.isClosed, 'it is closed');
    expect(broken.received()).toMatch(/^HTTP\/1\.1 400 /);
  });
});
