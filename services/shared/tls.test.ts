import { once } from 'node:events';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { makeCertificate, type TestCertificate } from '../../testing/certificates.ts';
import { until } from '../../testing/wait.ts';
import { createHttpServer } from './app-server.ts';
import type { HttpServer } from './http-server.ts';
import type { FailedHandshake, TlsOptions } from './tls.ts';

const LIMITS = {
  requestTimeout: 60_000,
  headersTimeout: 60_000,
  keepAliveTimeout: 60_000,
  maxHeaderSize: 2048,
  maxConnections: 20,
};

const servers: HttpServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(options: Partial<TlsOptions> = {}) {
  let current: TestCertificate = makeCertificate();
  let changed: (() => void) | undefined;
  const failed: FailedHandshake[] = [];
  let secured = 0;
  const tls: TlsOptions = {
    source: {
      current: () => ({ cert: Buffer.from(current.cert), key: Buffer.from(current.key) }),
      onChange: (listener) => void (changed = listener),
    },
    minVersion: 'TLSv1.2',
    onSecured: () => void (secured += 1),
    onFailed: (handshake) => failed.push(handshake),
    ...options,
  };
  const app = { fetch: (): Response => new Response('hello') };
  const listen = { host: '127.0.0.1', port: 0 };
  const server = createHttpServer('test server', listen, app, LIMITS, () => {}, { tls });
  await server.start();
  servers.push(server);
  const replace = (next: TestCertificate): void => {
    current = next;
    changed?.();
  };
  const authority = (): string => current.cert;
  return { server, port: server.address()?.port ?? 0, replace, authority, failed, secured: () => secured };
}

/** A connection that a client opened, and the text that it received. */
function open(port: number, bytes?: string | Buffer): { socket: Socket; text(): string } {
  let received = '';
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  if (bytes !== undefined) socket.write(bytes);
  sockets.push(socket);
  return { socket, text: () => received };
}

async function openSecured(port: number, ca: string): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', ca });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket;
}

/** The body of a request over a new connection. */
async function get(port: number, ca: string): Promise<string> {
  const response = Promise.withResolvers<string>();
  request({ port, host: '127.0.0.1', ca, agent: false }, (incoming) => {
    incoming.setEncoding('utf8').once('data', (text: string) => response.resolve(text));
  })
    .once('error', response.reject)
    .end();
  return response.promise;
}

/** The first bytes of a handshake: a record with a ClientHello that never becomes complete. */
const HALF_HELLO = Buffer.from('16030100ff0100', 'hex');

describe('a server with TLS', () => {
  test('serves https and counts handshakes', async () => {
    const { port, authority, secured } = await serve();
    expect(await get(port, authority())).toBe('hello');
    expect(secured()).toBe(1);
  });

  test('uses a replaced certificate for new connections, and keeps the existing ones', async () => {
    const { port, authority, replace } = await serve();
    const before = await openSecured(port, authority());
    const old = authority();
    replace(makeCertificate());
    expect(await get(port, authority())).toBe('hello');
    await expect(get(port, old)).rejects.toThrow();
    before.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const [answer] = (await once(before, 'data')) as [Buffer];
    expect(answer.toString()).toContain('200 OK');
  });

  test('answers plain http with 400 and a text that names the mistake', async () => {
    const { port, failed } = await serve();
    const { socket, text } = open(port, 'GET /api/v1/ping HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => socket.closed, 'the connection is closed');
    expect(text()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[^]*Use https:\/\/ instead of http:\/\//);
    expect(failed).toEqual([
      { code: 'ERR_SSL_HTTP_REQUEST', address: '127.0.0.1', bytes: expect.any(Number) },
    ]);
  });

  test('closes a connection that sends no TLS', async () => {
    const { port, failed } = await serve();
    const { socket } = open(port, 'SSH-2.0-OpenSSH_9.9\r\n');
    await until(() => socket.closed, 'the connection is closed');
    expect(failed).toMatchObject([{ code: expect.stringMatching(/^ERR_SSL_/), address: '127.0.0.1' }]);
  });

  test('closes a connection whose handshake is too slow', async () => {
    const { port, failed } = await serve({ handshakeTimeoutMs: 50 });
    const { socket } = open(port, HALF_HELLO);
    await until(() => socket.closed, 'the connection is closed');
    expect(failed).toMatchObject([{ code: 'ERR_TLS_HANDSHAKE_TIMEOUT' }]);
  });

  test('reports a client that rejects the certificate', async () => {
    const { port, failed } = await serve();
    await expect(get(port, makeCertificate().cert)).rejects.toThrow();
    await until(() => failed.length > 0, 'the failure is reported');
    expect(failed).toMatchObject([{ address: '127.0.0.1' }]);
  });

  test.each<[string, Buffer | undefined, number]>([
    ['before it sent a byte', undefined, 0],
    ['during the handshake', HALF_HELLO, HALF_HELLO.length],
  ])('reports a client that closes the connection %s', async (_, bytes, received) => {
    const { port, failed } = await serve();
    const { socket } = open(port, bytes);
    await once(socket, 'connect');
    socket.end();
    await until(() => failed.length > 0, 'the failure is reported');
    expect(failed).toEqual([{ code: 'ECONNRESET', address: '127.0.0.1', bytes: received }]);
  });

  test('accepts no version below TLS 1.2', async () => {
    const { port, failed } = await serve();
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    sockets.push(socket);
    await expect(once(socket, 'secureConnect')).rejects.toThrow();
    await until(() => failed.length > 0, 'the failure is reported');
  });

  test('counts connections without a finished handshake towards the maximum', async () => {
    const { port } = await serve();
    const waiting = Array.from({ length: LIMITS.maxConnections }, () => open(port, HALF_HELLO).socket);
    await Promise.all(waiting.map(async (socket) => once(socket, 'connect')));
    const { socket } = open(port);
    await until(() => socket.closed, 'the connection above the maximum is closed');
  });

  test('closes connections without a finished handshake when it stops', async () => {
    const { server, port } = await serve();
    const { socket } = open(port, HALF_HELLO);
    await once(socket, 'connect');
    const { socket: silent } = open(port);
    await once(silent, 'connect');
    await server.stop();
    await until(() => socket.closed && silent.closed, 'the connections are closed');
  });
});
