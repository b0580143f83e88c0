import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { metric } from '../../testing/load-devices.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

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

async function openClient(): Promise<Client> {
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

/** Sends one byte per second until the connection is closed. */
function sendSlowly(socket: Socket): void {
  const timer = setInterval(() => socket.write('x'), 1_000);
  socket.on('close', () => clearInterval(timer));
}

async function pings(): Promise<boolean> {
  return (await fetch(`${tracker.url}/api/v1/ping`)).status === 200;
}

async function refusals(reason: string): Promise<number> {
  const ops = new URL(tracker.opsUrl).host;
  return metric({ ops }, `rustory_tracker_refusals_total{reason="${reason}"}`);
}

describe('a client that holds a connection', () => {
  test('by sending one byte per second gets 408, in the header and in the body', async () => {
    const header = await openClient();
    header.socket.write('GET /api/v1/ping HTTP/1.1\r\nX: ');
    sendSlowly(header.socket);
    const body = await openClient();
    body.socket.write(`${POST}Content-Length: 1000\r\n\r\n`);
    sendSlowly(body.socket);
    await until(() => header.isClosed() && body.isClosed(), 'both are closed');
    expect(header.received()).toMatch(/^HTTP\/1\.1 408 /);
    expect(header.received()).toContain('Retry-After: 1');
    expect(body.received()).toMatch(/^HTTP\/1\.1 408 /);
    expect(await pings()).toBe(true);
  });

  test('without sending anything is disconnected', async () => {
    const silent = await openClient();
    await until(silent.isClosed, 'it is closed');
    expect(await pings()).toBe(true);
  });

  test('with a header of a megabyte gets 431', async () => {
    const large = await openClient();
    large.socket.write(`GET /api/v1/ping HTTP/1.1\r\nX: ${'x'.repeat(1_000_000)}`);
    await until(large.isClosed, 'it is closed');
    expect(large.received()).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('with a declared body that is too large gets 413 before it sends the body', async () => {
    const large = await openClient();
    large.socket.write(`${POST}Content-Length: 10000000000\r\n\r\n{"peer_id":`);
    await until(large.isClosed, 'it is closed');
    expect(large.received()).toMatch(/^HTTP\/1\.1 413 /);
    expect(large.received()).toContain('body_too_large');
  });

  test('with an endless chunked body gets 413 above the limit', async () => {
    const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    await until(async () => {
      const endless = await openClient();
      endless.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
      for (let n = 0; n < 8; n += 1) endless.socket.write(piece);
      await until(endless.isClosed, 'it is closed');
      // The tracker closes while bytes arrive, so a reset of the connection may overtake the answer.
      return endless.received().includes('body_too_large');
    }, 'it is refused');
  });

  test.each([
    ['a short body', 'Content-Length: 1000\r\n\r\n{'],
    ['a long body', 'Content-Length: 60000\r\n\r\n{'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n'],
  ])('and ends it within %s is refused, and is no fault of the tracker', async (_, rest) => {
    const before = await refusals('incomplete_body');
    const aborted = await openClient();
    aborted.socket.write(`${POST}${rest}`);
    // The tracker has accepted the request when it answers a later connection.
    expect(await pings()).toBe(true);
    aborted.socket.destroy();
    await until(async () => (await refusals('incomplete_body')) > before, 'it is refused');
    expect(await refusals('internal')).toBe(0);
  });

  test.each([
    ['bytes that are not HTTP', 'hello\r\n\r\n'],
    ['two lengths', `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
    ['a length and chunks', `${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a NUL in a header', `GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n`],
    ['no host', 'GET /api/v1/ping HTTP/1.1\r\n\r\n'],
  ])('with %s gets 400 and is disconnected', async (_, bytes) => {
    const broken = await openClient();
    broken.socket.write(bytes);
    await until(broken.isClosed, 'it is closed');
    expect(broken.received()).toMatch(/^HTTP\/1\.1 400 /);
  });
});
