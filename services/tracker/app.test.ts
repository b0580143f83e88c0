import { describe, expect, test } from '@jest/globals';
import { listResponseSchema } from '../shared/contract.ts';
import {
  ADDR,
  createTestApp,
  LIST,
  listed,
  OTHER_PEER,
  PEER,
  REGISTER,
  refusalOf,
  testRegistry,
  UNREGISTER,
} from '../../testing/tracker-app.ts';

describe('a request of a released client', () => {
  test('ping gets the response ok', async () => {
    const response = await createTestApp().get('/api/v1/ping');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await response.text()).toBe('ok\n');
  });

  const full = {
    device_id: 'laptop',
    hostname: 'laptop.local',
    user_id: 'alice',
    version: '0.9.1',
    build_revision: 'abc123',
    build_dirty: false,
  };
  test.each([
    ['the fields of every generation', full, full],
    [
      'nulls for empty options',
      { ...full, hostname: null, build_revision: null, build_dirty: null },
      { ...full, hostname: null, build_revision: null, build_dirty: null },
    ],
    ['only some fields', { user_id: 'alice' }, { user_id: 'alice' }],
    [
      'scalars of future clients',
      { ...full, battery: 0.5, roaming: true, color: 'red', nothing: null },
      { ...full, battery: 0.5, roaming: true, color: 'red', nothing: null },
    ],
    ['empty meta', {}, {}],
    ['meta null', null, null],
    ['no meta', undefined, null],
  ])('a registration with %s is listed unchanged', async (_, meta, expected) => {
    const app = createTestApp();
    const response = await app.post(REGISTER, { peer_id: PEER, addrs: [ADDR], meta });
    expect(await response.json()).toEqual({ ok: true, ttl_sec: 60 });
    expect(await listed(app)).toEqual([
      {
        peer_id: PEER,
        addrs: [ADDR],
        meta: expected,
        last_seen: expect.any(String),
        last_seen_unix: expect.any(Number),
      },
    ]);
  });

  test('last_seen is RFC 3339, and last_seen_unix a whole number of seconds', async () => {
    const app = createTestApp();
    await app.post(REGISTER, { peer_id: PEER, addrs: [] });
    const text = await (await app.get(LIST)).text();
    const seconds = /"last_seen_unix":(\d+)\}/.exec(text)?.[1];
    expect(Math.abs(Number(seconds) - Date.now() / 1_000)).toBeLessThan(5);
    expect(text).toMatch(/"last_seen":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/);
    expect(text).toContain('"meta":null');
  });

  test('a peer id is listed in its canonical form, without surrounding space', async () => {
    const app = createTestApp();
    const cid = 'bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l';
    await app.post(REGISTER, { peer_id: ` ${cid}\n`, addrs: [] });
    expect(await listed(app)).toMatchObject([{ peer_id: PEER }]);
    expect(await (await app.post(UNREGISTER, { peer_id: PEER })).json()).toEqual({ ok: true, removed: true });
    expect(await (await app.post(UNREGISTER, { peer_id: cid })).json()).toEqual({ ok: true, removed: false });
  });

  test.each(['/api/v1/peers', '//api/v1/peers', '/api/v1/peers/', '///api//v1/peers//'])(
    'the path %s is accepted with doubled and trailing slashes',
    async (path) => {
      const app = createTestApp();
      expect((await app.post(`${path}/register`, { peer_id: PEER, addrs: [] })).status).toBe(200);
      const response = await app.get(`http://tracker${path}?user_id=`);
      expect(response.status).toBe(200);
    },
  );

  test.each([
    ['alice', 'alice'],
    ['al%69ce', 'alice'],
    ['a%20b%2Bc%26d%C3%A9', 'a b+c&dé'],
    ['a+b', 'a b'],
    ['', ''],
  ])('user_id=%s lists the devices of "%s"', async (encoded, userId) => {
    const app = createTestApp();
    await app.post(REGISTER, { peer_id: PEER, addrs: [], meta: { user_id: userId } });
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [], meta: { user_id: 'another user' } });
    expect(await listed(app, `?user_id=${encoded}`)).toMatchObject([{ peer_id: PEER }]);
    expect(await listed(app)).toHaveLength(2);
  });

  test('a registration with another user moves the device', async () => {
    const app = createTestApp();
    for (const user_id of ['alice', 'bob'])
      await app.post(REGISTER, { peer_id: PEER, addrs: [], meta: { user_id } });
    expect(await listed(app, '?user_id=alice')).toEqual([]);
    expect(await listed(app, '?user_id=bob')).toHaveLength(1);
  });

  test('addresses to which no device can connect are dropped and counted', async () => {
    const app = createTestApp();
    await app.post(REGISTER, {
      peer_id: PEER,
      addrs: ['/ip4/0.0.0.0/tcp/4001', ADDR, '', '/ip4/10.0.0.1/tcp/0'],
    });
    expect(await listed(app)).toMatchObject([{ addrs: [ADDR] }]);
    expect(await app.metrics()).toContain('rustory_tracker_addresses_dropped_total{reason="unreachable"} 2');
  });

  test('private addresses are dropped when dropPrivateAddrs is set', async () => {
    const app = createTestApp({ dropPrivateAddrs: true });
    await app.post(REGISTER, { peer_id: PEER, addrs: [ADDR, '/ip4/203.0.113.7/tcp/1'] });
    expect(await listed(app)).toMatchObject([{ addrs: ['/ip4/203.0.113.7/tcp/1'] }]);
  });
});

describe('a listing', () => {
  const meta = { user_id: 'alice' };

  test('has the same ETag after heartbeats, and another ETag when its content changes', async () => {
    const app = createTestApp();
    const tag = async (): Promise<string> => (await app.get(LIST)).headers.get('etag') ?? '';
    await app.post(REGISTER, { peer_id: PEER, addrs: [ADDR], meta });
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [ADDR], meta });
    const first = await tag();
    await app.post(REGISTER, { peer_id: PEER, addrs: [ADDR], meta });
    expect(await tag()).toBe(first);
    await app.post(REGISTER, { peer_id: PEER, addrs: [], meta });
    const second = await tag();
    expect(second).not.toBe(first);
    await app.post(UNREGISTER, { peer_id: PEER });
    expect(await tag()).not.toBe(second);
  });

  test('that the client has already gets 304 and no body', async () => {
    const app = createTestApp();
    await app.post(REGISTER, { peer_id: PEER, addrs: [ADDR], meta });
    const tag = (await app.get(LIST)).headers.get('etag') ?? '';
    for (const known of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
      const response = await app.get(LIST, { 'If-None-Match': known });
      expect(response.status).toBe(304);
      expect(response.headers.get('etag')).toBe(tag);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(await response.text()).toBe('');
    }
    expect((await app.get(LIST, { 'If-None-Match': '"other"' })).status).toBe(200);
  });

  test('of thousands of devices is complete, newest first', async () => {
    const registry = testRegistry(3_000);
    for (let n = 0; n < 2_501; n += 1) {
      const json = JSON.stringify({ peer_id: `p${n}`, addrs: [], meta: null });
      await registry.register({ peerId: `p${n}`, userId: null, deviceId: null, hostname: null, json });
    }
    const peers = (await listed(createTestApp({ registry }))) as { peer_id: string }[];
    expect(peers.map(({ peer_id }) => peer_id)).toEqual(
      Array.from({ length: 2_501 }, (_, n) => `p${2_500 - n}`),
    );
  });

  test('has pages and cursors only when they are requested', async () => {
    const app = createTestApp();
    await app.post(REGISTER, { peer_id: PEER, addrs: [], meta });
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [], meta });
    const first = listResponseSchema.parse(await (await app.get(`${LIST}?limit=1&user_id=alice`)).json());
    const [lower, higher] = [PEER, OTHER_PEER].toSorted();
    expect(first.peers).toMatchObject([{ peer_id: lower }]);
    const second = await (await app.get(`${LIST}?limit=1&user_id=alice&cursor=${first.next_cursor}`)).json();
    expect(second).toMatchObject({ peers: [{ peer_id: higher }], next_cursor: null });
    expect(await (await app.get(`${LIST}?cursor=${first.next_cursor}`)).json()).toMatchObject({
      peers: [{ peer_id: higher }],
    });
    expect(await (await app.get(LIST)).text()).not.toContain('next_cursor');
  });

  test.each([
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=',
    'limit=1e2',
    'cursor=',
    'cursor=bm9wZQ',
    `user_id=${'x'.repeat(257)}`,
    'user_id=%00',
  ])('with the parameter %s is refused', async (query) => {
    expect(await refusalOf(await createTestApp().get(`${LIST}?${query}`))).toEqual([400, 'invalid_request']);
  });
});

describe('metrics', () => {
  test('count requests by route pattern, and never by text from clients', async () => {
    const app = createTestApp();
    await app.get('/api/v1/ping');
    await app.get(`/api/v1/peers/${PEER}`);
    await app.post(REGISTER, { peer_id: PEER, addrs: [] });
    const text = await app.metrics();
    expect(text).toContain(
      'rustory_tracker_http_request_duration_seconds_count{method="GET",route="/api/v1/ping",status="200"} 1',
    );
    expect(text).toContain('rustory_tracker_registrations_total{outcome="registered"} 1');
    expect(text).toContain('rustory_tracker_live_peers 1');
    expect(text).not.toContain(PEER);
  });

  test('exist before the first request', async () => {
    const text = await createTestApp().metrics();
    expect(text).toContain('rustory_tracker_refusals_total{reason="unauthorized"} 0');
    expect(text).toContain('rustory_tracker_registrations_total{outcome="full"} 0');
    expect(text).toMatch(/rustory_tracker_build_info\{version="\d/);
  });
});

describe('a stale listing', () => {
  test('is marked with its age, and keeps its ETag', async () => {
    const stale = { ...testRegistry(), list: async () => ({ peers: [], staleForSeconds: 12.3 }) };
    const response = await createTestApp({ registry: stale }).get(LIST);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-rustory-stale')).toBe('13');
    expect(response.headers.get('warning')).toContain('110');
    expect(response.headers.get('etag')).toBe((await createTestApp().get(LIST)).headers.get('etag'));
  });
});

test('requests below the path prefix are served, whether a proxy removes the prefix or not', async () => {
  const app = createTestApp({ pathPrefix: '/rustory' });
  for (const prefix of ['', '/rustory', '//rustory/']) {
    expect((await app.get(`${prefix}/api/v1/ping`)).status).toBe(200);
    expect((await app.post(`${prefix}${REGISTER}`, { peer_id: PEER, addrs: [] })).status).toBe(200);
  }
  for (const page of ['/', '/rustory', '/rustory/']) expect((await app.get(page)).status).toBe(200);
  for (const path of ['/rustory-other/api/v1/ping', '/other/api/v1/ping', '/rustory/rustory/api/v1/ping'])
    expect((await app.get(path)).status).toBe(404);
  const closed = createTestApp({ pathPrefix: '/rustory' }, {});
  for (const path of ['/rustory', '/rustory/', `/rustory${LIST}`])
    expect((await closed.get(path)).status).toBe(401);
});
