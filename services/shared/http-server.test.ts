import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { createHttpServer } from './app-server.ts';
import type { HttpLimits, HttpServer } from './http-server.ts';

const LIMITS: HttpLimits = {
  requestTimeout: 60_000,
  headersTimeout: 60_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 20,
  maxHeaderSize: 2048,
  maxConnections: 2,
};

function post(body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

const servers: HttpServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.stop();
});

type Handler = (request: Request) => Response | Promise<Response>;

async function serve(
  limits: Partial<HttpLimits> = {},
  handler: Handler = () => new Response('hello'),
  host = '127.0.0.1',
) {
  const listening: string[] = [];
  const broken: [string, string | undefined][] = [];
  const server = createHttpServer(
    'test server',
    { host, port: 0 },
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
    ['proxy_header', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['proxy_header', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'],
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

  test('closes a connection above the maximum while requests run on all others', async () => {
    let running = 0;
    const { broken, port } = await serve({ maxConnections: 1 }, () => {
      running += 1;
      return new Promise(() => {});
    });
    const first = open(port, GET);
    await until(() => running === 1, 'the first request runs');
    const second = open(port, GET);
    await until(() => second.socket.closed, 'the second connection is closed');
    expect(second.text()).toBe('');
    expect(first.socket.closed).toBe(false);
    expect(broken).toEqual([['too_many_connections', '127.0.0.1']]);
  });

  test.each([
    ['sends nothing', ''],
    ['sends a part of a request', 'GET / HTTP/1.1\r\nHost: a\r\n'],
    ['was served', GET],
  ])('closes the oldest connection that %s for a new one at the maximum', async (_, bytes) => {
    const { broken, port } = await serve({ maxConnections: 3 });
    const idle = [open(port, bytes)];
    await until(() => idle[0]?.socket.bytesWritten === bytes.length, 'the first one is open');
    for (let n = 0; n < 2; n += 1) {
      const next = open(port, GET);
      await until(() => next.text().includes('hello'), 'it is served');
      idle.push(next);
    }
    const probe = open(port, GET);
    await until(() => probe.text().includes('hello'), 'the probe is served');
    await until(() => idle[0]?.socket.closed === true, 'the oldest one is closed');
    expect(idle.slice(1).map(({ socket }) => socket.closed)).toEqual([false, false]);
    expect(broken).toEqual([['connection_replaced', '127.0.0.1']]);
  });

  test('answers pipelined requests in order, one at a time', async () => {
    let running = 0;
    let most = 0;
    const { port } = await serve({}, async (request) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      return new Response(`<${new URL(request.url).pathname}>`);
    });
    const client = open(port, [1, 2, 3, 4, 5].map((n) => `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    await until(() => client.text().includes('</5>'), 'all are answered');
    expect(client.text().match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>', '</4>', '</5>']);
    expect(most).toBe(1);
    client.socket.write(GET);
    await until(
      () => client.text().includes('<>') || client.text().includes('</>'),
      'the connection is used again',
    );
  });

  test('answers a pipelined request with a body after the one before it', async () => {
    const { port } = await serve({}, async (request) => new Response(`<${await request.text()}>`));
    const client = open(port, post('a'.repeat(40_000)) + post('b'.repeat(40_000)) + post('c'));
    await until(() => client.text().includes('<c>'), 'all are answered');
    expect(client.text().indexOf('<b')).toBeGreaterThan(client.text().indexOf('<a'));
  });

  test.each([
    ['requests', GET],
    ['requests with an unknown expectation', GET.replace('\r\n\r\n', '\r\nExpect: a\r\n\r\n')],
    ['requests without a host', 'GET / HTTP/1.1\r\n\r\n'],
    ['requests that wait for 100', GET.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n')],
  ])(
    'closes a connection that pipelines thousands of %s, and handles none of the waiting ones',
    async (_, get) => {
      let handled = 0;
      const { broken, port } = await serve({}, () => {
        handled += 1;
        return new Response('hello');
      });
      const client = open(port, get.repeat(2_000));
      await until(() => client.socket.closed, 'the connection is closed');
      expect(broken).toEqual([['pipelined', '127.0.0.1']]);
      expect(handled).toBeLessThan(20);
    },
  );

  test.each([
    ['HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n', 'localhost'],
    ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 'localhost'],
    ['IPv6', 'GET / HTTP/1.1\r\nHost: [::1]:8850\r\n\r\n', '[::1]:8850'],
    ['IPv6 with all groups', 'GET / HTTP/1.1\r\nHost: [0:0:0:0:0:0:0:1]:8850\r\n\r\n', '[::1]:8850'],
    ['IPv6 with leading zeros', 'GET / HTTP/1.1\r\nHost: [2001:0DB8::0001]\r\n\r\n', '[2001:db8::1]'],
    ['IPv6 with IPv4 in it', 'GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n', '[::ffff:7f00:1]'],
    ['IPv6 with a zone', 'GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\n\r\n', '[fe80::1]'],
    ['IPv6 without brackets', 'GET / HTTP/1.1\r\nHost: 0:0::1\r\n\r\n', '[::1]'],
    ['capital letters', 'GET / HTTP/1.1\r\nHost: Tracker.Example:8850\r\n\r\n', 'tracker.example:8850'],
    ['an empty port', 'GET / HTTP/1.1\r\nHost: tracker.example:\r\n\r\n', 'tracker.example'],
    ['an absolute URL', 'GET http://other.example/ HTTP/1.1\r\nHost: a\r\n\r\n', 'other.example'],
  ])('serves a request with %s', async (_, bytes, host) => {
    const { port } = await serve({}, (request) => new Response(`<${new URL(request.url).host}>`), '::');
    const client = open(port, bytes);
    await until(() => client.text().includes('>'), 'it is answered');
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 /);
    expect(client.text()).toContain(`<${host}>`);
  });

  test.each(['a b', 'a/b', 'user@a', '[::g]', 'a:99999', '[::1', 'a?b', 'a#b', String.raw`a\b`])(
    'refuses the host %s with 400',
    async (host) => {
      const { port } = await serve();
      const client = open(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await until(() => client.text().includes('\r\n\r\n'), 'it is answered');
      expect(client.text()).toMatch(/^HTTP\/1\.1 400 /);
    },
  );

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
