import { describe, expect, test } from '@jest/globals';
import {
  ADDR,
  createTestApp,
  LIST,
  listed,
  PEER,
  REGISTER,
  refusalOf,
  type TestApp,
  UNREGISTER,
} from '../../testing/tracker-app.ts';
import { parseHostName } from './foreign-pages.ts';
import { parseNetwork } from '../shared/trusted-networks.ts';
import { createClientOf } from './proxies.ts';
import { createRateLimits } from './rate-limits.ts';

const good = { peer_id: PEER, addrs: [ADDR] };

describe('a web page of another origin', () => {
  test.each([
    ['a foreign origin', { Origin: 'https://evil.example' }],
    ['an origin of another port', { Origin: 'http://localhost:1' }],
    ['the origin null, as in a sandbox', { Origin: 'null' }],
    ['an origin that is not one', { Origin: 'x' }],
    ['a cross-site request', { 'Sec-Fetch-Site': 'cross-site' }],
    ['a request of another name of the site', { 'Sec-Fetch-Site': 'same-site' }],
    ['a cross-site request without a content type', { 'Sec-Fetch-Site': 'cross-site', 'Content-Type': '' }],
  ])('changes nothing: %s is refused', async (_, headers) => {
    const app = createTestApp();
    expect(await refusalOf(await app.post(REGISTER, good, headers))).toEqual([403, 'foreign_page']);
    expect(await refusalOf(await app.post(UNREGISTER, good, headers))).toEqual([403, 'foreign_page']);
    expect(await listed(app)).toEqual([]);
  });

  test('cannot use a body without a content type either', async () => {
    const app = createTestApp();
    const body = new Blob([JSON.stringify(good)]);
    const response = await app.fetch(
      new Request(`http://localhost${REGISTER}`, {
        method: 'POST',
        body,
        headers: { Origin: 'https://evil.example' },
      }),
    );
    expect(response.status).toBe(403);
    expect(await listed(app)).toEqual([]);
  });

  test.each([
    ['of the tracker itself', { Origin: 'http://localhost' }],
    ['of the tracker behind a proxy with TLS', { Origin: 'https://localhost' }],
    ['that the user opened', { 'Sec-Fetch-Site': 'none' }],
    ['of the same origin', { 'Sec-Fetch-Site': 'same-origin', Origin: 'http://localhost' }],
  ])('does not mean a page %s', async (_, headers) => {
    expect((await createTestApp().post(REGISTER, good, headers)).status).toBe(200);
  });

  test('does not mean a device, which sends a body without a content type or without both headers', async () => {
    const app = createTestApp();
    const body = JSON.stringify(good);
    const headers = { 'Content-Length': String(body.length) };
    const request = new Request(`http://localhost${REGISTER}`, {
      method: 'POST',
      body: Buffer.from(body),
      headers,
    });
    expect((await app.fetch(request)).status).toBe(200);
  });
});

describe('the hosts of a tracker', () => {
  const app = createTestApp({ allowedHosts: ['tracker.example.org'] });
  const at = (host: string, path: string): Promise<Response> =>
    Promise.resolve(app.fetch(new Request(`http://${host}${path}`)));

  test.each(['evil.example', 'tracker.example.org.evil.example', 'tracker', 'localhost.evil.example'])(
    'do not include %s',
    async (host) => {
      for (const path of [LIST, '/api/v1/ping', '/'])
        expect(await refusalOf(await at(host, path))).toEqual([421, 'unknown_host']);
      expect((await at(host, '/readyz')).status).toBe(200);
    },
  );

  test.each([
    'tracker.example.org',
    'TRACKER.example.org:8850',
    'tracker.example.org.',
    'localhost:1',
    '127.0.0.1',
    '[::1]:8850',
    '192.168.1.2',
  ])('include %s', async (host) => expect((await at(host, LIST)).status).toBe(200));

  test('are all while none are set', async () => {
    expect((await createTestApp().fetch(new Request(`http://evil.example${LIST}`))).status).toBe(200);
  });

  test.each(['', 'a b', 'http://tracker', 'tracker:8850', '*.example.org', '.example', 'x'.repeat(300)])(
    'cannot be %j',
    (text) => expect(() => parseHostName(text)).toThrow(/is not a host name/),
  );
});

async function login(app: TestApp, token: string, address?: string): Promise<number> {
  const forwarded = address === undefined ? {} : { 'X-Forwarded-For': address };
  return (await app.get(LIST, { Authorization: `Bearer ${token}`, ...forwarded })).status;
}

describe('failed logins', () => {
  const limits = createRateLimits({
    tokenRequestsPerMinute: undefined,
    peerRequestsPerMinute: undefined,
    addressRequestsPerMinute: undefined,
    failedLoginsPerMinute: 2,
  });
  const anything = { id: 'a', userId: undefined, readOnly: false, isHub: false };
  test('of one address get 429 with Retry-After above the limit; a valid token and other addresses always pass', async () => {
    const clientOf = createClientOf([parseNetwork('10.0.0.1')]);
    const app = createTestApp(
      { rateLimits: limits, clientOf: (_, header) => clientOf('10.0.0.1', header) },
      { right: anything },
    );
    const statuses = [];
    for (const token of ['wrong', 'other', 'wrong', 'right', 'wrong', 'right'])
      statuses.push(await login(app, token, '198.51.100.1'));
    expect(statuses).toEqual([401, 401, 429, 200, 429, 200]);
    expect(await login(app, 'wrong', '198.51.100.2')).toBe(401);
    const refused = await app.get(LIST, { 'X-Forwarded-For': '198.51.100.1' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refusalOf(refused)).toEqual([429, 'too_many_requests']);
    for (let n = 0; n < 5; n += 1) {
      expect(await login(app, 'wrong', 'unknown')).toBe(401);
      expect(await login(app, 'wrong')).toBe(401);
    }
  });

  test('are not limited while the addresses of clients are unknown', async () => {
    const app = createTestApp({ rateLimits: limits }, { right: anything });
    for (let n = 0; n < 5; n += 1) expect(await login(app, 'wrong', '198.51.100.3')).toBe(401);
  });
});

describe('the probes of a load balancer', () => {
  test('need no token, and say whether the tracker accepts requests', async () => {
    let isReady = true;
    const app = createTestApp({ isReady: () => isReady }, {});
    expect([(await app.get('/livez')).status, (await app.get('/readyz')).status]).toEqual([200, 200]);
    isReady = false;
    expect([(await app.get('/livez')).status, (await app.get('/readyz')).status]).toEqual([200, 503]);
  });

  test('of / get an answer that names the right path', async () => {
    const response = await createTestApp({}, {}).get('/');
    expect(await response.clone().text()).toContain('/readyz');
    expect(response.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect(await refusalOf(response)).toEqual([401, 'unauthorized']);
    expect((await createTestApp().get('/')).status).toBe(200);
  });
});
