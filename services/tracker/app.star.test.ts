// The star, as devices, hubs and operators see it over the API.
import { describe, expect, test } from '@jest/globals';
import { base58btc } from 'multiformats/bases/base58';
import { CID } from 'multiformats/cid';
import { decode } from 'multiformats/hashes/digest';
import {
  createTestApp,
  LIST,
  OTHER_PEER,
  PEER,
  REGISTER,
  refusalOf,
  type TestApp,
  testConfig,
  testRegistry,
  UNREGISTER,
} from '../../testing/tracker-app.ts';
import { createRateLimits } from './rate-limits.ts';

/** The same peer id as `PEER`, as a CID. */
const PEER_CID = CID.createV1(0x72, decode(base58btc.decode(`z${PEER}`))).toString();

const HUB = '16Uiu2HAmQ9mbhB8bRyRDNUz9Ma1Lv4wuD3fvRspiFhW4ztKX1yZ5';

const GRANTS = {
  alice: { id: 'alice', userId: 'alice', readOnly: false, isHub: false },
  bob: { id: 'bob', userId: 'bob', readOnly: false, isHub: false },
  open: { id: 'open', userId: undefined, readOnly: false, isHub: false },
  hub: { id: 'hub', userId: 'alice', readOnly: false, isHub: true },
  anyHub: { id: 'anyHub', userId: undefined, readOnly: false, isHub: true },
  monitoring: { id: 'monitoring', userId: undefined, readOnly: true, isHub: false },
} as const;

type Token = keyof typeof GRANTS;

function bearer(token: Token): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

async function register(app: TestApp, token: Token, peerId: string, meta: object = { user_id: 'alice' }) {
  const response = await app.post(REGISTER, { peer_id: peerId, addrs: [], meta }, bearer(token));
  return response.status;
}

async function list(app: TestApp, token: Token, query = '?user_id=alice'): Promise<string[]> {
  const response = await app.get(`${LIST}${query}`, bearer(token));
  const body = (await response.json()) as { peers: { peer_id: string }[] };
  expect(Object.keys(body)).toEqual(['peers']);
  return body.peers.map(({ peer_id }) => peer_id);
}

async function appWithHub(star = true): Promise<TestApp> {
  const app = createTestApp({ star, registry: testRegistry() }, GRANTS);
  expect(await register(app, 'alice', PEER)).toBe(200);
  expect(await register(app, 'alice', OTHER_PEER)).toBe(200);
  expect(await register(app, 'hub', HUB, { user_id: 'alice', role: 'hub' })).toBe(200);
  return app;
}

describe('while the hub of a user is registered', () => {
  test('its devices are listed only the hub, and their own record where they ask for it', async () => {
    const app = await appWithHub();
    for (const token of ['alice', 'open'] as const) {
      expect(await list(app, token)).toEqual([HUB]);
      expect(await list(app, token, `?user_id=alice&peer_id=${PEER}&future=1`)).toEqual([HUB, PEER]);
      expect(await list(app, token, `?user_id=alice&peer_id=${PEER_CID}`)).toEqual([HUB, PEER]);
    }
    expect(await list(app, 'open', '')).toEqual([HUB]);
    expect(await list(app, 'open', `?user_id=bob&peer_id=${PEER}`)).toEqual([]);
  });

  test('the hub and who only reads are listed all devices, but a hub not those of other users', async () => {
    const app = await appWithHub();
    for (const token of ['hub', 'anyHub', 'monitoring'] as const)
      expect(await list(app, token)).toEqual([HUB, OTHER_PEER, PEER]);
    expect(await list(app, 'monitoring', '')).toHaveLength(3);
    expect((await app.get(`${LIST}?user_id=bob`, bearer('hub'))).status).toBe(403);
  });

  test('the record of a device is the one that it registered, without a mark', async () => {
    const app = await appWithHub();
    const { peers } = (await (await app.get(`${LIST}?user_id=alice`, bearer('alice'))).json()) as {
      peers: object[];
    };
    expect(peers[0]).toEqual({
      peer_id: HUB,
      addrs: [],
      meta: { user_id: 'alice', role: 'hub' },
      last_seen: expect.any(String),
      last_seen_unix: expect.any(Number),
    });
  });

  test('a token that is not that of a hub can neither replace nor remove it, nor become one', async () => {
    const app = await appWithHub();
    for (const token of ['alice', 'open', 'bob'] as const) {
      const meta = { user_id: token === 'bob' ? 'bob' : 'alice', role: 'hub' };
      const response = await app.post(REGISTER, { peer_id: HUB, addrs: [], meta }, bearer(token));
      expect(await refusalOf(response)).toEqual([403, 'forbidden']);
      const unregistered = await app.post(UNREGISTER, { peer_id: HUB }, bearer(token));
      expect(await unregistered.json()).toEqual({ ok: true, removed: false });
    }
    expect(await register(app, 'alice', PEER, { user_id: 'alice', role: 'hub', is_hub: true })).toBe(200);
    expect(await list(app, 'alice')).toEqual([HUB]);
    expect(await app.metrics()).toContain('rustory_tracker_registrations_total{outcome="hub"} 2');
  });

  test('requests of other tokens for its peer id do not use up its rate limit', async () => {
    const limits = { ...testConfig().limits, peerRequestsPerMinute: 3 };
    const app = createTestApp({ star: true, rateLimits: createRateLimits(limits) }, GRANTS);
    expect(await register(app, 'hub', HUB)).toBe(200);
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1)
      statuses.push((await app.post(UNREGISTER, { peer_id: HUB }, bearer('alice'))).status);
    expect(statuses).toContain(429);
    expect(await register(app, 'hub', HUB)).toBe(200);
  });

  test('its devices are listed all devices again when it unregisters', async () => {
    const app = await appWithHub();
    const response = await app.post(UNREGISTER, { peer_id: HUB }, bearer('hub'));
    expect(await response.json()).toEqual({ ok: true, removed: true });
    expect(await list(app, 'alice')).toEqual([OTHER_PEER, PEER]);
    expect(await list(app, 'alice', `?user_id=alice&peer_id=${PEER}`)).toEqual([OTHER_PEER, PEER]);
  });

  test('the ETag changes with what is listed', async () => {
    const app = await appWithHub();
    const tagOf = async (token: Token, query = '') =>
      (await app.get(`${LIST}?user_id=alice${query}`, bearer(token))).headers.get('etag') ?? '';
    const tags = [await tagOf('alice'), await tagOf('hub'), await tagOf('alice', `&peer_id=${PEER}`)];
    expect(new Set(tags).size).toBe(3);
    const headers = { ...bearer('alice'), 'If-None-Match': tags[0] ?? '' };
    expect((await app.get(`${LIST}?user_id=alice`, headers)).status).toBe(304);
    expect((await app.get(`${LIST}?user_id=alice&peer_id=${PEER}`, headers)).status).toBe(200);
  });

  test('long listings of devices, of hubs and of other devices are not mixed up', async () => {
    const app = await appWithHub();
    const meta = { user_id: 'alice', ...Object.fromEntries(FIELDS) };
    for (const [token, peerId] of [
      ['alice', PEER],
      ['alice', OTHER_PEER],
      ['hub', HUB],
    ] as const)
      expect(await register(app, token, peerId, meta)).toBe(200);
    const lists = async (): Promise<string[][]> => [
      await list(app, 'alice'),
      await list(app, 'hub'),
      await list(app, 'alice', `?user_id=alice&peer_id=${PEER}`),
      await list(app, 'alice', `?user_id=alice&peer_id=${OTHER_PEER}`),
    ];
    const expected = [[HUB], [HUB, OTHER_PEER, PEER], [HUB, PEER], [HUB, OTHER_PEER]];
    expect(await lists()).toEqual(expected);
    expect(await lists()).toEqual(expected);
  });

  test('without TRACKER_STAR all devices are listed, and the hub is kept as it is', async () => {
    const app = await appWithHub(false);
    expect(await list(app, 'alice')).toEqual([HUB, OTHER_PEER, PEER]);
    expect(await list(app, 'alice', `?user_id=alice&peer_id=${PEER}`)).toEqual([HUB, OTHER_PEER, PEER]);
    expect(await register(app, 'alice', HUB)).toBe(403);
  });
});

/** Fields with which a record is as long as it may be. */
const FIELDS = Array.from({ length: 25 }, (_, n): [string, string] => [`field${n}`, 'x'.repeat(250)]);

test.each(['', 'nobody', PEER.slice(1), `${PEER}%00`, 'x'.repeat(300), `${PEER},${OTHER_PEER}`])(
  'a listing for the peer id %j is refused, with and without a star',
  async (peerId) => {
    for (const star of [true, false]) {
      const app = createTestApp({ star }, GRANTS);
      const response = await app.get(`${LIST}?user_id=alice&peer_id=${peerId}`, bearer('alice'));
      expect(await refusalOf(response)).toEqual([400, 'invalid_request']);
    }
  },
);

test('a device that only calls itself a hub does not count as one', async () => {
  const app = createTestApp({ star: true }, GRANTS);
  await register(app, 'alice', PEER);
  await register(app, 'alice', HUB, { user_id: 'alice', role: 'hub' });
  expect(await list(app, 'alice')).toEqual([HUB, PEER]);
  const html = await (await app.get('/', bearer('alice'))).text();
  expect(html).toContain('registered without a token that is marked hub');
});

describe('the status page', () => {
  test('marks hubs, shows all devices, and says that the star is on', async () => {
    const app = await appWithHub();
    const html = await (await app.get('/', bearer('alice'))).text();
    for (const text of [PEER, OTHER_PEER, HUB, 'Star: on', 'these devices are listed only the hub'])
      expect(html).toContain(text);
    expect(html.match(/class="hub"/g)).toHaveLength(1);
    expect(html).not.toContain('registered without a token');
  });

  test('marks hubs without a star too', async () => {
    const app = await appWithHub(false);
    const html = await (await app.get('/', bearer('alice'))).text();
    expect(html).toContain('Star: off');
    expect(html.match(/class="hub"/g)).toHaveLength(1);
    expect(html).not.toContain('these devices are listed only the hub');
  });
});
