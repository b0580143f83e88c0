import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { createHttpServer, type HttpLimits, type HttpServer } from './http-server.ts';

const LIMITS: HttpLimits = {
  requestTimeout: 60_000,
  headersTimeout: 60_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 20,
  maxHeaderSize: 2048,
  maxConnections: 2,
};

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

const servers: HttpServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.stop();
});

type Handler = () => Response | Promise<Response>;

async function serve(limits: Partial<HttpLimits> = {}, handler: Handler = () => new Response('hello')) {
  const listening: string[] = [];
  const broken: [string, string | undefined][] = [];
  const server = createHttpServer(
    'test server',
    { host: '127.0.0.1', port: 0 },
    { fetch: handler },
    { ...LIMITS, ...limits },
    (address) => listening.push(address),
    { onBroken: (problem, address) => broken.push([problem, address]) },
  );
  await server.start();
  servers.push(server);
  return { server, listening, broken, port: server.address()?.port ?? 0 };
}

/** A client that sends bytes and collects the bytes that it receives. */
function open(port: number, bytes: string): { text(): string; socket: Socket } {
  let received = '';
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  socket.write(bytes);
  sockets.push(socket);
  return { text: () => received, socket };
}

describe('an HTTP server', () => {
  test.each([
    ['malformed', 'hello\r\n\r\n'],
    ['tls', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['header_overflow', `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(4_096)}\r\n\r\n`],
  ])('reports that a request is %s, with the address of the client', async (problem, bytes) => {
    const { broken, port } = await serve();
    open(port, bytes);
    await until(() => broken.length > 0, 'the request is reported');
    expect(broken).toEqual([[problem, '127.0.0.1']]);
  });

  test('reports the address that it is bound to', async () => {
    const { listening, port } = await serve();
    expect(listening).toEqual([`127.0.0.1:${port}`]);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
  });

  test('responds with 400 to bytes that are not a request, and closes the connection', async () => {
    const { port } = await serve();
    const client = open(port, 'hello\r\n\r\n');
    await until(() => client.socket.closed, 'the connection is closed');
    expect(client.text()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });

  test('responds with 431 to a header that is too large', async () => {
    const { port } = await serve();
    const client = open(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(4096)}\r\n\r\n`);
    await until(() => client.socket.closed, 'the connection is closed');
    expect(client.text()).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('responds with 408 and Retry-After to a request that does not arrive in time', async () => {
    const { port } = await serve({ requestTimeout: 50, headersTimeout: 50 });
    const client = open(port, 'GET / HTTP/1.1\r\n');
    await until(() => client.socket.closed, 'the connection is closed');
    expect(client.text()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nRetry-After: 1\r\n/);
  });

  test('closes a connection above the maximum', async () => {
    const { port } = await serve({ maxConnections: 1 });
    const first = open(port, GET);
    await until(() => first.text().includes('hello'), 'the first connection is served');
    const second = open(port, GET);
    await until(() => second.socket.closed, 'the second connection is closed');
    expect(second.text()).toBe('');
    expect(first.socket.closed).toBe(false);
  });

  test('closes an idle connection after its idle timeout', async () => {
    const { port } = await serve({ idleTimeoutMs: 50 });
    const client = open(port, '');
    await until(() => client.socket.closed, 'the connection is closed');
  });
});

describe('a drain', () => {
  test('ends when the connections have ended, and responses to new requests have Connection: close', async () => {
    const response = Promise.withResolvers<Response>();
    const { server, port } = await serve({}, () => response.promise);
    const running = open(port, GET);
    await until(() => running.socket.bytesWritten > 0, 'the first request is sent');
    const drained = server.drain?.(new AbortController().signal);
    const client = open(port, GET);
    await until(() => client.socket.bytesWritten > 0, 'the second request is sent');
    response.resolve(new Response('late'));
    await until(() => client.socket.closed, 'the connection is closed');
    await drained;
    expect(client.text()).toMatch(/Connection: close/i);
    expect(client.text()).toContain('late');
  });

  test('waits for a request that was accepted before', async () => {
    const response = Promise.withResolvers<Response>();
    const started = Promise.withResolvers<void>();
    const { server, port } = await serve({}, () => {
      started.resolve();
      return response.promise;
    });
    const client = open(port, GET);
    await started.promise;
    const drained = server.drain?.(new AbortController().signal);
    response.resolve(new Response('late'));
    await drained;
    expect(client.text()).toContain('late');
  });

  test('closes idle connections after the grace period', async () => {
    const { server, port } = await serve();
    const idle = open(port, GET);
    await until(() => idle.text().includes('hello'), 'the request is served');
    await server.drain?.(new AbortController().signal);
    await until(() => idle.socket.closed, 'the idle connection is closed');
  });

  test('ends when it is aborted, and stop ends the remaining requests', async () => {
    const { server, port } = await serve({}, () => new Promise(() => {}));
    const running = open(port, GET);
    await until(() => running.socket.bytesWritten > 0, 'the request is sent');
    await server.drain?.(AbortSignal.abort());
    await server.stop();
    await until(() => running.socket.closed, 'the connection is closed');
  });
});
