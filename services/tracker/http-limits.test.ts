import { afterEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createTestApp, PEER, REGISTER, UNREGISTER } from '../../testing/tracker-app.ts';
import { createHttpServer } from '../shared/app-server.ts';
import { HTTP_LIMITS } from './http-limits.ts';

afterEach(cleanUp);

/** A tracker on a socket, and everything that it logs at any level. */
async function serve() {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const app = createTestApp({ log });
  const server = createHttpServer('test', { host: '127.0.0.1', port: 0 }, app, HTTP_LIMITS, () => {});
  await server.start();
  onCleanup(() => server.stop());
  const request = (path: string, body: unknown, headers: Record<string, string>): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.address()?.port}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers },
    });
  return { lines, request };
}

test('an unregistration with a signed request of 24 KiB in a header is served, and the header is not logged', async () => {
  const { lines, request } = await serve();
  await request(REGISTER, { peer_id: PEER, addrs: [] }, {});
  const signed = { peer_id: PEER, device_proof: { nonce: [1], signature: 'secret'.repeat(3_000) } };
  const header = encodeURIComponent(JSON.stringify(signed)).padEnd(24 * 1024, '0');
  const headers = { 'X-Rustory-Device-Request': header };
  const response = await request(UNREGISTER, signed, headers);
  expect(await response.json()).toEqual({ ok: true, removed: true });
  expect(response.headers.get('cache-control')).toBe('no-store');
  for (const path of [UNREGISTER, '/api/v1/nothing', REGISTER]) {
    const refused = await request(path, { peer_id: 'nobody' }, headers);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(await refused.text()).not.toContain('secret');
  }
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.join('')).not.toContain('secret');
});

test('headers of 32 KiB are accepted, and larger ones get 431', async () => {
  const { request } = await serve();
  const send = async (bytes: number): Promise<number> =>
    (await request(UNREGISTER, { peer_id: PEER }, { 'X-Filler': 'x'.repeat(bytes) })).status;
  expect(await send(32 * 1024 - 512)).toBe(200);
  expect(await send(40 * 1024)).toBe(431);
});
