import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createTestApp } from '../../testing/tracker-app.ts';
import { bytesOf, ORDINARY_REQUESTS, randomRequests } from '../../testing/tracker-requests.ts';
import { createHttpServer, type ServedApp } from '../shared/app-server.ts';
import type { HttpServer } from '../shared/http-server.ts';
import { createClientLog } from './client-log.ts';
import { HTTP_LIMITS } from './http-limits.ts';
import { createRateLimits } from './rate-limits.ts';
import { createMemoryRegistry } from './registry/memory-registry.ts';

const GRANTS = {
  any: { id: 'any', userId: undefined, readOnly: false, isHub: false },
  ada: { id: 'ada', userId: 'ada', readOnly: false, isHub: false },
  reader: { id: 'reader', userId: undefined, readOnly: true, isHub: false },
  hub: { id: 'hub', userId: 'ada', readOnly: false, isHub: true },
  limited: { id: 'limited', userId: undefined, readOnly: false, isHub: false },
};

const clock = (): number => 1_790_000_000_123;

/** A tracker that answers hot calls directly, or all requests through Hono. Its clocks stand still. */
function createTracker(isDirect: boolean, grants: typeof GRANTS | undefined) {
  const lines: object[] = [];
  const write = (line: string): void =>
    void lines.push(JSON.parse(line, (key, value: unknown) => (key === 'seconds' ? 0 : value)) as object);
  const log = pino({ level: 'debug', base: null, timestamp: false }, { write });
  const app = createTestApp(
    {
      registry: createMemoryRegistry({ ttlSeconds: 60, maxPeers: 3, nowUnixMs: clock, nowMs: clock }),
      rateLimits: createRateLimits(
        {
          tokenRequestsPerMinute: 150,
          peerRequestsPerMinute: 100,
          addressRequestsPerMinute: undefined,
        },
        clock,
      ),
      pathPrefix: '/prefix',
      allowedHosts: grants === undefined ? [] : ['tracker.example.org'],
      log,
      clientLog: createClientLog({ log, nowMs: clock }),
    },
    grants,
  );
  const state = { directly: 0 };
  const direct: ServedApp['direct'] = (request, response) => {
    const isAnswered = app.direct(request, response);
    state.directly += Number(isAnswered);
    return isAnswered;
  };
  const served: ServedApp = isDirect ? { fetch: app.fetch, direct } : { fetch: app.fetch };
  const address = { host: '127.0.0.1', port: 0 };
  const server = createHttpServer('test', address, served, HTTP_LIMITS, () => {});
  return { app, server, lines, state };
}

/** The bytes of the response, without the date. */
function exchange(server: HttpServer, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(server.address()?.port ?? 0, '127.0.0.1').setEncoding('latin1');
    socket.on('error', () => {}).on('data', (text: string) => (received += text));
    socket.on('close', () => resolve(received.replace(/\r\nDate: [^\r]*/, '')));
    socket.write(bytes);
  });
}

describe.each([
  ['without tokens', undefined],
  ['with tokens and allowed hosts', GRANTS],
] as const)('a tracker %s', (_, grants) => {
  const direct = createTracker(true, grants);
  const hono = createTracker(false, grants);
  beforeAll(async () => {
    await Promise.all([direct.server.start(), hono.server.start()]);
  });
  afterAll(async () => {
    await Promise.all([direct.server.stop?.(), hono.server.stop?.()]);
  });

  test('answers hot calls with the same bytes, metrics and log lines as Hono', async () => {
    const seed = 20_261_128;
    for (const [index, request] of [...ORDINARY_REQUESTS, ...randomRequests(400, seed)].entries()) {
      const bytes = bytesOf(request);
      const answers = [await exchange(direct.server, bytes), await exchange(hono.server, bytes)];
      expect([index, request, answers[0]]).toEqual([index, request, answers[1]]);
    }
    expect(direct.state.directly).toBeGreaterThan(50);
    const counts = async ({ app }: typeof direct): Promise<string[]> =>
      (await app.metrics())
        .split('\n')
        .filter((line) => /^rustory_.*(_total|_count|_peers|_listed)\b/.test(line))
        .toSorted();
    expect(await counts(direct)).toEqual(await counts(hono));
    expect(direct.lines).toEqual(hono.lines);
  });
});
