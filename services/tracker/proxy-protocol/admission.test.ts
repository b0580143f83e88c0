import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { pino } from 'pino';
import { makeCertificate } from '../../../testing/certificates.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { until } from '../../../testing/wait.ts';
import { createHttpServer } from '../../shared/app-server.ts';
import type { HttpServerOptions } from '../../shared/http-server.ts';
import { HTTP_LIMITS } from '../http-limits.ts';
import { createProxyAdmission } from './admission.ts';

afterEach(cleanUp);

const V1 = Buffer.from('PROXY TCP4 198.51.100.1 10.0.0.1 4660 443\r\n');
const V2 = Buffer.from('0d0a0d0a000d0a515549540a21110010c63364010a000001123401bb040001ff', 'hex');
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
const GET = Buffer.from('GET /one HTTP/1.1\r\nHost: a\r\n\r\n');

interface Env {
  readonly incoming: { readonly socket: { readonly remoteAddress?: string } };
}

/** A server whose answers have the address of the client, with the admission in front of it. */
async function serve({
  isTrusted = true,
  tls,
}: { isTrusted?: boolean; tls?: HttpServerOptions['tls'] } = {}) {
  const registry = new Registry();
  const lines: { msg: string; reason: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) });
  const admission = createProxyAdmission({ isTrusted: () => isTrusted, registry, log, headerTimeoutMs: 500 });
  const app = {
    fetch: async (request: Request, env: unknown) =>
      new Response(
        `<${(env as Env).incoming.socket.remoteAddress} ${new URL(request.url).pathname} ${await request.text()}>`,
      ),
  };
  const options = tls === undefined ? { admission } : { admission, tls };
  const server = createHttpServer(
    'test',
    { host: '127.0.0.1', port: 0 },
    app,
    HTTP_LIMITS,
    () => {},
    options,
  );
  await server.start();
  onCleanup(() => server.stop());
  const port = server.address()?.port ?? 0;
  const count = async (outcome: string): Promise<number> =>
    Number(new RegExp(`headers_total\\{outcome="${outcome}"\\} (\\d+)`).exec(await registry.metrics())?.[1]);
  return { port, count, lines };
}

function open(port: number) {
  let text = '';
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.on('data', (data) => (text += data.toString()));
  onCleanup(() => socket.destroy());
  return { socket, text: () => text };
}

describe('connections of a trusted proxy', () => {
  test.each([
    ['version 1', V1, '198.51.100.1'],
    ['version 2 with a TLV', V2, '198.51.100.1'],
    ['LOCAL', LOCAL, '127.0.0.1'],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
  ])(
    'have the address of the client, with %s in one packet with several requests',
    async (_, header, address) => {
      const { port, count } = await serve();
      const client = open(port);
      const post = 'POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody';
      client.socket.write(Buffer.concat([header, GET, Buffer.from(post)]));
      await until(() => client.text().includes('/two'), 'both are answered');
      expect(client.text().match(/<[^>]*>/g)).toEqual([`<${address} /one >`, `<${address} /two body>`]);
      client.socket.write(GET);
      await until(() => client.text().match(/one/g)?.length === 2, 'the connection is used again');
      expect(await count(address === '127.0.0.1' ? 'proxy' : 'client')).toBe(1);
    },
  );

  test.each([
    ['version 1', V1],
    ['version 2', V2],
  ])('have it also when %s arrives byte by byte', async (_, header) => {
    const { port } = await serve();
    const client = open(port);
    client.socket.setNoDelay(true);
    for (const byte of Buffer.concat([header, GET])) {
      client.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await until(() => client.text().includes('<198.51.100.1 /one >'), 'it is answered');
  });

  test.each([
    ['version 1', V1],
    ['version 2', V2],
  ])('have it in TLS, in front of which %s is sent', async (_, header) => {
    const { cert, key } = makeCertificate();
    const source = {
      current: () => ({ cert: Buffer.from(cert), key: Buffer.from(key) }),
      onChange: () => {},
    };
    const tls = { source, minVersion: 'TLSv1.2', onSecured: () => {}, onFailed: () => {} } as const;
    const { port } = await serve({ tls });
    for (const isSplit of [false, true]) {
      const { socket } = open(port);
      socket.removeAllListeners('data');
      socket.write(header);
      if (isSplit)
        await new Promise((resolve) => socket.once('drain', resolve).write(Buffer.alloc(0), resolve));
      const secured = connectTls({ socket, rejectUnauthorized: false });
      let text = '';
      secured.on('data', (data) => (text += data.toString())).write(GET);
      await until(() => text.includes('<198.51.100.1 /one >'), 'it is answered');
    }
  });

  test.each([
    ['missing', GET],
    ['missing', Buffer.from('160301020001', 'hex')],
    ['too_long', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['invalid', Buffer.from('PROXY TCP4 nobody 10.0.0.1 1 2\r\n')],
    ['timeout', Buffer.from('PROXY TCP4 ')],
    ['timeout', Buffer.alloc(0)],
  ])('without a valid header are closed, counted and logged as %s', async (outcome, bytes) => {
    const { port, count, lines } = await serve();
    for (let n = 0; n < 3; n += 1) {
      const client = open(port);
      client.socket.write(bytes);
      await until(() => client.socket.closed, 'the connection is closed');
      expect(client.text()).toBe('');
    }
    expect(await count(outcome)).toBe(3);
    expect(lines).toMatchObject([{ reason: outcome, address: '127.0.0.1' }]);
  });

  test('that send nothing, as a health check of TCP, are counted and not logged', async () => {
    const { port, count, lines } = await serve();
    open(port).socket.end();
    await until(async () => (await count('unused')) === 1, 'it is counted');
    expect(lines).toEqual([]);
  });

  test('that are reset during the header do no harm', async () => {
    const { port, count } = await serve();
    const { socket } = open(port);
    socket.write('PROXY TCP4', () => socket.resetAndDestroy());
    await until(async () => (await count('invalid')) + (await count('unused')) === 1, 'it is counted');
    const client = open(port);
    client.socket.write(Buffer.concat([V1, GET]));
    await until(() => client.text().includes('198.51.100.1'), 'the next one is answered');
  });
});

describe('connections of others', () => {
  test('need no header, and cannot claim an address with one', async () => {
    const { port, count } = await serve({ isTrusted: false });
    const direct = open(port);
    direct.socket.write(GET);
    await until(() => direct.text().includes('<127.0.0.1 /one >'), 'it is answered');
    for (const header of [V1, V2]) {
      const liar = open(port);
      liar.socket.write(Buffer.concat([header, GET]));
      await until(() => liar.socket.closed, 'it is closed');
      expect(liar.text()).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect(await count('direct')).toBe(3);
  });
});
