import { describe, expect, test } from '@jest/globals';
import { listResponseSchema } from '../shared/contract.ts';
import {
  createTestApp,
  LIST,
  listed,
  OTHER_PEER,
  PEER,
  REGISTER,
  type TestApp,
  testRegistry,
} from '../../testing/tracker-app.ts';
import { cutPage, MAX_LISTING_BYTES } from './listing.ts';
import { listingBody, peerJson } from './listing-body.ts';
import type { ListedPeer, Registry } from './registry/registry.ts';

/** A registry with devices `p0`, `p1`, … of one user; the last one is the newest. */
async function registryOf(count: number, text: string): Promise<Registry> {
  const registry = testRegistry(10_000);
  const padding = Object.fromEntries(Array.from({ length: 4 }, (_, n) => [`padding${n}`, text]));
  for (let n = 0; n < count; n += 1)
    await registry.register({
      peerId: `p${n}`,
      userId: 'alice',
      deviceId: null,
      hostname: null,
      json: JSON.stringify({
        peer_id: `p${n}`,
        addrs: [],
        meta: { user_id: 'alice', hostname: `host-${n}.`, ...padding },
      }),
    });
  return registry;
}

function peer(index: number, padding: string): ListedPeer {
  return {
    peerId: `p${index}`,
    seenUnixMicros: 1_790_000_000_000_000 - index,
    json: JSON.stringify({ peer_id: `p${index}`, addrs: [], meta: { padding } }),
  };
}

function bytesOf(peers: readonly ListedPeer[]): number {
  return Buffer.byteLength(listingBody(peers.map(peerJson), { peers }, false));
}

/** An app whose clients are on its machine, or on another one. */
function appFor(isLocal: boolean, registry: Registry): TestApp {
  return createTestApp({
    registry,
    clientOf: () => ({ address: undefined, limitKey: undefined, isReal: false, isLocal }),
  });
}

async function textOf(app: TestApp, query: string): Promise<string> {
  return (await app.get(`${LIST}${query}`)).text();
}

describe('the maximum size of a listing', () => {
  test('is exact: a listing of 512 KiB is complete, and one byte more leaves out the longest unseen', () => {
    const fixed = bytesOf([peer(0, ''), peer(1, 'é'), peer(2, '')]);
    const fill = 'x'.repeat(MAX_LISTING_BYTES - fixed);
    const full = [peer(0, ''), peer(1, 'é'), peer(2, fill)];
    expect(bytesOf(full)).toBe(MAX_LISTING_BYTES);
    expect(cutPage({ peers: full }, false)).toMatchObject({ omitted: [], peers: { length: 3 } });
    const over = [peer(0, ''), peer(1, 'é'), peer(2, `${fill}x`)];
    expect(cutPage({ peers: over }, false)).toMatchObject({ omitted: { length: 1 }, peers: { length: 2 } });
  });

  test('never leaves out a hub, however long it is unseen, and keeps the order of the others', () => {
    const fill = 'x'.repeat(200_000);
    const hub = { ...peer(3, fill), isHub: true };
    const page = { peers: [peer(0, fill), peer(1, fill), peer(2, ''), hub] };
    const { peers, omitted } = cutPage(page, false);
    expect(peers).toEqual([page.peers[0], hub]);
    expect(omitted).toEqual([page.peers[1], page.peers[2]]);
  });

  test.each(['', '?user_id=alice'])('holds for %j, in bytes, also with long meta', async (query) => {
    const registry = await registryOf(1_000, 'é'.repeat(100));
    const app = createTestApp({ registry });
    const text = await textOf(app, query);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_LISTING_BYTES);
    expect(Buffer.byteLength(text)).toBeGreaterThan(MAX_LISTING_BYTES - 2_000);
    const { peers } = listResponseSchema.parse(JSON.parse(text));
    expect(peers.map(({ peer_id }) => peer_id)).toEqual(peers.map((_, n) => `p${999 - n}`));
    expect(await app.metrics()).toContain(
      `rustory_tracker_listing_omitted_peers_total ${1_000 - peers.length}`,
    );
    const tag = (await app.get(`${LIST}${query}`)).headers.get('etag') ?? '';
    expect((await app.get(`${LIST}${query}`, { 'If-None-Match': tag })).status).toBe(304);
  });

  test('holds for pages, which lose no device', async () => {
    const registry = await registryOf(1_000, 'x'.repeat(200));
    const app = createTestApp({ registry });
    const ids: string[] = [];
    let cursor: string | null | undefined = '';
    while (typeof cursor === 'string') {
      const text = await textOf(app, `?limit=1000${cursor === '' ? '' : `&cursor=${cursor}`}`);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_LISTING_BYTES);
      const page = listResponseSchema.parse(JSON.parse(text));
      ids.push(...page.peers.map(({ peer_id }) => peer_id));
      cursor = page.next_cursor;
    }
    expect(ids).toEqual(Array.from({ length: 1_000 }, (_, n) => `p${n}`).toSorted());
    expect(await app.metrics()).toContain('rustory_tracker_listing_omitted_peers_total 0');
  });

  test('is reported on the status page with every device that is left out', async () => {
    const app = createTestApp({ registry: await registryOf(2_000, 'x'.repeat(200)) });
    const shown = (await listed(app, '?user_id=alice')).length;
    const html = await (await app.get('/')).text();
    const [, cut = ''] = /<div class="note">([^]*?)<\/div>/.exec(html) ?? [];
    // The listing of all devices leaves out the same devices, which are named once.
    expect(html).not.toContain('The listing of all devices');
    expect(cut).toContain('The listing of user <bdi>alice</bdi>');
    expect(cut).toContain(`${2_000 - shown} devices`);
    expect(cut).toContain('host-0.');
    expect(cut).toContain(`host-${1_999 - shown}.`);
    expect(cut).not.toContain(`host-${2_000 - shown}.`);
    expect(await (await createTestApp().get('/')).text()).not.toContain('leaves out');
  });
});

describe('loopback addresses', () => {
  const circuit = `/ip4/127.0.0.1/tcp/4001/p2p/${OTHER_PEER}/p2p-circuit/p2p/${PEER}`;
  const loopback = [
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/127.9.9.9/udp/1/quic-v1',
    '/ip6/::1/tcp/1',
    '/ip6/0:0:0:0:0:0:0:1/tcp/1',
    '/ip6/::ffff:127.0.0.1/tcp/1',
    '/dns4/localhost/tcp/1',
    `/dns/box.LocalHost./tcp/1/p2p/${PEER}`,
  ];
  const others = [
    '/ip4/192.168.1.20/tcp/1',
    '/ip6/2001:db8::1/tcp/1',
    '/dns4/localhost.example/tcp/1',
    circuit,
  ];
  const body = { peer_id: PEER, addrs: [...loopback, ...others], meta: { user_id: 'alice' } };
  test('are listed to clients on the same machine', async () => {
    const app = appFor(true, testRegistry());
    await app.post(REGISTER, body);
    expect(await listed(app)).toMatchObject([{ addrs: body.addrs }]);
  });

  test('are not listed to others, unless they are circuits, and nothing else changes', async () => {
    const registry = testRegistry();
    const app = appFor(false, registry);
    await app.post(REGISTER, body);
    await app.post(REGISTER, { ...body, peer_id: OTHER_PEER, addrs: [loopback[0]] });
    expect(await listed(app, '?user_id=alice')).toMatchObject([
      { peer_id: OTHER_PEER, addrs: [], meta: body.meta },
      { peer_id: PEER, addrs: others, meta: body.meta },
    ]);
    const local = appFor(true, registry);
    const tags = [await app.get(LIST), await local.get(LIST)].map(({ headers }) => headers.get('etag'));
    expect(tags[0]).not.toBe(tags[1]);
  });
});
