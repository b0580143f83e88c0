import { describe, expect, test } from '@jest/globals';
import {
  createTestApp,
  LIST,
  OTHER_PEER,
  PEER,
  REGISTER,
  refusalOf,
  UNREGISTER,
} from '../../testing/tracker-app.ts';
import { createRateLimits } from './rate-limits.ts';

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

describe('a token', () => {
  const anything = { id: 'open', userId: undefined, readOnly: false, isHub: false };
  const app = createTestApp(
    {},
    {
      open: anything,
      alices: { id: 'alices', userId: 'alice', readOnly: false, isHub: false },
      reader: { id: 'reader', userId: undefined, readOnly: true, isHub: false },
    },
  );
  const register = (user_id: string | null, headers: Record<string, string>, peer_id = PEER) =>
    app.post(REGISTER, { peer_id, addrs: [], meta: { user_id } }, headers);

  test.each([
    ['no token', {}],
    ['a wrong token', bearer('wrong')],
    ['an empty token', bearer('')],
    ['a prototype key', bearer('__proto__')],
    ['another scheme', { Authorization: 'Digest open' }],
    ['two tokens in one header', { 'X-Rustory-Token': 'open, open' }],
  ] as [string, Record<string, string>][])(
    'is required for every call: %s is refused',
    async (_, headers) => {
      for (const path of ['/api/v1/ping', LIST, '/api/v1/nothing']) {
        const response = await app.get(path, headers);
        expect(response.headers.get('www-authenticate')).toBe('Bearer');
        expect(await refusalOf(response)).toEqual([401, 'unauthorized']);
      }
      expect((await register('alice', headers)).status).toBe(401);
    },
  );

  test.each([
    ['Authorization', bearer('open')],
    ['Authorization in lower case', { Authorization: 'bearer open' }],
    ['X-Rustory-Token', { 'X-Rustory-Token': 'open' }],
    [
      'X-Rustory-Token next to the login of a proxy',
      { Authorization: 'Basic dXNlcjpwdw==', 'X-Rustory-Token': 'open' },
    ],
  ] as [string, Record<string, string>][])('is accepted in %s', async (_, headers) => {
    expect((await app.get('/api/v1/ping', headers)).status).toBe(200);
    expect((await register('carol', headers)).status).toBe(200);
    expect((await app.post(UNREGISTER, { peer_id: PEER }, headers)).status).toBe(200);
  });

  test('that is bound to a user registers and lists only devices of that user', async () => {
    expect((await register('alice', bearer('alices'))).status).toBe(200);
    expect((await app.get(`${LIST}?user_id=alice`, bearer('alices'))).status).toBe(200);
    for (const response of [
      await register('bob', bearer('alices')),
      await register(null, bearer('alices')),
      await app.get(`${LIST}?user_id=bob`, bearer('alices')),
      await app.get(LIST, bearer('alices')),
    ])
      expect(await refusalOf(response)).toEqual([403, 'forbidden']);
  });

  test('that is bound to a user neither replaces nor removes a device of another user', async () => {
    await register('bob', bearer('open'), OTHER_PEER);
    expect(await refusalOf(await register('alice', bearer('alices'), OTHER_PEER))).toEqual([
      403,
      'forbidden',
    ]);
    const response = await app.post(UNREGISTER, { peer_id: OTHER_PEER }, bearer('alices'));
    expect(await response.json()).toEqual({ ok: true, removed: false });
    const bobs = await app.get(`${LIST}?user_id=bob`, bearer('open'));
    expect(await bobs.json()).toMatchObject({ peers: [{ peer_id: OTHER_PEER }] });
  });

  test('that is read-only lists, and changes nothing', async () => {
    expect((await app.get(LIST, bearer('reader'))).status).toBe(200);
    expect(await refusalOf(await register('alice', bearer('reader')))).toEqual([403, 'forbidden']);
    expect(await refusalOf(await app.post(UNREGISTER, { peer_id: PEER }, bearer('reader')))).toEqual([
      403,
      'forbidden',
    ]);
  });
});

describe('a rate limit', () => {
  const unlimited = {
    tokenRequestsPerMinute: undefined,
    peerRequestsPerMinute: undefined,
    addressRequestsPerMinute: undefined,
  };
  const good = { peer_id: PEER, addrs: [] };

  test('of one peer refuses with a Retry-After, and does not affect other peers', async () => {
    const app = createTestApp({ rateLimits: createRateLimits({ ...unlimited, peerRequestsPerMinute: 3 }) });
    for (const path of [REGISTER, REGISTER, UNREGISTER])
      expect((await app.post(path, good)).status).toBe(200);
    for (const path of [REGISTER, UNREGISTER]) {
      const response = await app.post(path, good);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refusalOf(response)).toEqual([429, 'too_many_requests']);
    }
    expect((await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [] })).status).toBe(200);
  });

  test('of one peer is not used up by tokens of other users, which are told that it is not theirs', async () => {
    const grants = {
      open: { id: 'open', userId: undefined, readOnly: false, isHub: false },
      alices: { id: 'alices', userId: 'alice', readOnly: false, isHub: false },
      bobs: { id: 'bobs', userId: 'bob', readOnly: false, isHub: false },
    };
    const limits = { ...unlimited, peerRequestsPerMinute: 2 };
    for (const mine of ['bobs', 'open']) {
      const app = createTestApp({ rateLimits: createRateLimits(limits) }, grants);
      const register = async (token: string, user_id: string): Promise<number> =>
        (await app.post(REGISTER, { ...good, meta: { user_id } }, bearer(token))).status;
      expect(await register(mine, 'bob')).toBe(200);
      for (let turn = 0; turn < 5; turn += 1) expect(await register('alices', 'alice')).toBe(403);
      for (let turn = 0; turn < 5; turn += 1) await app.post(UNREGISTER, good, bearer('alices'));
      expect(await register(mine, 'bob')).toBe(200);
      expect(await register(mine, 'bob')).toBe(429);
    }
  });

  test('of one token does not affect other tokens', async () => {
    const grant = { userId: undefined, readOnly: false, isHub: false };
    const app = createTestApp(
      { rateLimits: createRateLimits({ ...unlimited, tokenRequestsPerMinute: 2 }) },
      { one: { ...grant, id: 'one' }, two: { ...grant, id: 'two' } },
    );
    const statuses = [];
    for (const token of ['one', 'one', 'one', 'two'])
      statuses.push((await app.get(LIST, bearer(token))).status);
    expect(statuses).toEqual([200, 200, 429, 200]);
  });

  test('of one client address counts requests without a valid token apart from the others', async () => {
    const app = createTestApp(
      {
        rateLimits: createRateLimits({ ...unlimited, addressRequestsPerMinute: 2 }),
        clientOf: (_, header) => ({
          address: undefined,
          limitKey: header('x-forwarded-for'),
          isReal: true,
          isLocal: false,
        }),
      },
      { right: { id: 'right', userId: undefined, readOnly: false, isHub: false } },
    );
    const statuses = [];
    for (const from of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2'])
      statuses.push((await app.get(LIST, { 'X-Forwarded-For': from })).status);
    expect(statuses).toEqual([401, 401, 429, 401]);
    // Devices behind the same NAT as the one with the wrong token.
    for (let turn = 0; turn < 3; turn += 1)
      statuses.push((await app.get(LIST, { 'X-Forwarded-For': '192.0.2.1', ...bearer('right') })).status);
    expect(statuses.slice(4)).toEqual([200, 200, 429]);
  });
});
