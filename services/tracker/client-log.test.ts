import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import {
  ADDR,
  createTestApp,
  LIST,
  OTHER_PEER,
  PEER,
  REGISTER,
  testRegistry,
  UNREGISTER,
} from '../../testing/tracker-app.ts';
import { until } from '../../testing/wait.ts';
import { createHttpServer } from '../shared/app-server.ts';
import { createClientLog } from './client-log.ts';
import { HTTP_LIMITS } from './http-limits.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRegistrationParser } from './registration.ts';

afterEach(cleanUp);

/** A log and its lines at info and above. */
function createLines() {
  const lines: Record<string, unknown>[] = [];
  const clock = { nowMs: 0 };
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { lines, clock, log, clientLog: createClientLog({ log, nowMs: () => clock.nowMs }) };
}

const TOKENS = {
  open: { id: 'o', userId: undefined, readOnly: false, isHub: false },
  reader: { id: 'r', userId: undefined, readOnly: true, isHub: false },
  bobs: { id: 'b', userId: 'bob', readOnly: false, isHub: false },
};
const remote = () => ({ address: '203.0.113.7', limitKey: undefined, isReal: false, isLocal: false });
const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

describe('a mistake of a device is logged at info', () => {
  const alice = { peer_id: PEER, addrs: [], meta: { user_id: 'alice' } };

  test.each([
    ['no token', {}, alice, { reason: 'unauthorized', cause: 'no_token' }],
    ['a wrong token', bearer('hunter2-secret'), alice, { reason: 'unauthorized', cause: 'wrong_token' }],
    [
      'a wrong token in X-Rustory-Token',
      { 'X-Rustory-Token': 'hunter2-secret' },
      alice,
      { reason: 'unauthorized', cause: 'wrong_token' },
    ],
    ['a read-only token', bearer('reader'), alice, { reason: 'forbidden', cause: 'read_only_token' }],
    [
      'a token of another user',
      bearer('bobs'),
      alice,
      { reason: 'forbidden', cause: 'token_of_another_user', peerId: PEER, userId: 'alice' },
    ],
    [
      'a peer id that is not one',
      bearer('open'),
      { ...alice, peer_id: 'nobody' },
      { reason: 'invalid_peer_id' },
    ],
    [
      'a user_id that is not a text',
      bearer('open'),
      { ...alice, meta: { user_id: 7 } },
      { reason: 'invalid_request', detail: expect.stringContaining('user_id') },
    ],
    [
      'an address that is not one',
      bearer('open'),
      { ...alice, addrs: ['x', 'y'] },
      { reason: 'not_a_multiaddr', count: 2, peerId: PEER, msg: 'addresses dropped' },
    ],
    [
      'a field of meta that is not a scalar',
      bearer('open'),
      { ...alice, meta: { a: [] } },
      { reason: 'mistyped', count: 1, peerId: PEER, msg: 'fields of meta dropped' },
    ],
  ] as [string, Record<string, string>, unknown, Record<string, unknown>][])(
    'for %s, with the address, and never with the token',
    async (_, headers, body, expected) => {
      const { lines, log, clientLog } = createLines();
      const app = createTestApp({ log, clientLog, clientOf: remote }, TOKENS);
      await app.post(REGISTER, body, { ...headers, 'X-Forwarded-For': '198.51.100.1' });
      expect(lines).toMatchObject([
        { level: 30, address: '203.0.113.7', forwardedFor: '198.51.100.1', ...expected },
      ]);
      expect(JSON.stringify(lines)).not.toContain('secret');
    },
  );

  test('for a device that is registered by another user, with too many peers, and too many requests', async () => {
    const { lines, log, clientLog } = createLines();
    const registry = testRegistry(1);
    const rateLimits = createRateLimits({
      tokenRequestsPerMinute: undefined,
      peerRequestsPerMinute: 2,
      addressRequestsPerMinute: undefined,
    });
    const app = createTestApp({ log, clientLog, registry, rateLimits }, TOKENS);
    await app.post(REGISTER, alice, bearer('open'));
    await app.post(REGISTER, { ...alice, meta: { user_id: 'bob' } }, bearer('bobs'));
    await app.post(REGISTER, { ...alice, peer_id: OTHER_PEER }, bearer('open'));
    await app.post(UNREGISTER, alice, bearer('open'));
    await app.post(UNREGISTER, alice, bearer('open'));
    expect(lines).toMatchObject([
      { reason: 'forbidden', cause: 'registered_by_another_user', peerId: PEER, userId: 'bob' },
      { reason: 'too_many_peers', peerId: OTHER_PEER },
      { reason: 'too_many_requests', peerId: PEER },
    ]);
  });

  test('once per device and minute, so that a device does not hide others or other mistakes', async () => {
    const { lines, clock, log, clientLog } = createLines();
    const app = createTestApp({ log, clientLog }, TOKENS);
    for (let n = 0; n < 30; n += 1) await app.post(REGISTER, { ...alice, addrs: ['x'] }, bearer('open'));
    await app.post(REGISTER, { ...alice, peer_id: OTHER_PEER, addrs: ['x'] }, bearer('open'));
    await app.post(REGISTER, alice, bearer('reader'));
    await app.get(LIST, bearer('wrong'));
    expect(lines.map(({ peerId, reason }) => [peerId, reason])).toEqual([
      [PEER, 'not_a_multiaddr'],
      [OTHER_PEER, 'not_a_multiaddr'],
      [PEER, 'forbidden'],
      [undefined, 'unauthorized'],
    ]);
    expect(lines[1]).toMatchObject({ dropped: 29 });
    clock.nowMs += 60_000;
    await app.post(REGISTER, { ...alice, addrs: ['x'] }, bearer('open'));
    expect(lines).toHaveLength(5);
  });

  test('and nothing is logged for a device without a mistake, or for the login of a browser', async () => {
    const { lines, log, clientLog } = createLines();
    const app = createTestApp({ log, clientLog }, TOKENS);
    await app.post(REGISTER, { ...alice, addrs: [ADDR] }, bearer('open'));
    await app.get(LIST, bearer('open'));
    await app.get('/');
    expect(lines).toEqual([]);
  });
});

test('a port scan writes at most a line a minute', async () => {
  const { lines, clock, log, clientLog } = createLines();
  const app = createTestApp({ log, clientLog }, TOKENS);
  const server = createHttpServer(
    'test',
    { host: '127.0.0.1', port: 0 },
    app,
    HTTP_LIMITS,
    () => {},
    clientLog,
  );
  await server.start();
  onCleanup(() => server.stop());
  const port = server.address()?.port ?? 0;
  const probes = [
    'GET / HTTP/1.0\r\n\r\n',
    'OPTIONS / HTTP/1.0\r\n\r\n',
    'OPTIONS / RTSP/1.0\r\n\r\n',
    'GET /nice%20ports%2C/Tri%6Eity.txt%2ebak HTTP/1.0\r\n\r\n',
    'GET /api/v1/pods HTTP/1.0\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'SSH-2.0-scanner\r\n',
    '\r\n\r\n',
    '',
  ];
  const scan = async (): Promise<void> => {
    for (const bytes of probes) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.end(bytes, 'latin1');
      socket.resume();
      await until(() => socket.closed, 'the connection is closed');
    }
  };
  await scan();
  await scan();
  expect(lines).toMatchObject([{ level: 30, address: '127.0.0.1', msg: 'not a request of this API' }]);
  clock.nowMs += 60_000;
  await scan();
  expect(lines).toHaveLength(2);
});

test('the proof that 1.x renews with each registration does not fill the cache', () => {
  const parse = createRegistrationParser(false);
  const read = (body: string) => {
    const parsed = parse(body);
    return parsed.ok ? parsed.request.read() : parsed;
  };
  const [first = '', second = ''] = [1, 2].map((nonce) =>
    JSON.stringify({ peer_id: PEER, addrs: [ADDR], meta: null, device_proof: { nonce } }),
  );
  expect(read(first)).toBe(read(second));
});
