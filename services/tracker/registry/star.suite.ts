// Tests of the star; part of the suite of every registry.
import { expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import { device, hub } from '../../../testing/tracker-registrations.ts';
import type { Replicas, SuiteOptions } from './registry.suite.ts';
import type { Page, Registry, StarView } from './registry.ts';

const HUB = { ok: false, reason: 'hub' };

/** What a device lists, as peer ids. */
async function seen(registry: Registry, userId?: string, star: StarView = {}): Promise<string> {
  const { peers } = await registry.list({ userId, star });
  return peers.map(({ peerId }) => peerId).join();
}

async function pagesOf(registry: Registry, userId: string | undefined, star: StarView): Promise<string> {
  const ids: string[] = [];
  let page: Page | undefined;
  do {
    page = await registry.list({ userId, star, limit: 2, after: page?.next });
    ids.push(...page.peers.map(({ peerId }) => peerId));
  } while (page.next !== undefined);
  return ids.join();
}

export function testStar(
  subject: () => Replicas,
  use: (options: Partial<SuiteOptions>) => Promise<Replicas>,
): void {
  test('lists only the hub of a user on every replica while it is registered, and all devices afterwards', async () => {
    const { registry, replica } = subject();
    for (const id of ['a', 'b', 'c']) await registry.register(device(id));
    expect(await seen(replica, 'alice')).toBe('c,b,a');
    const given = hub('hub', 'alice', 'ünïcødé');
    expect(await registry.register(given)).toEqual({ ok: true });
    for (const each of [registry, replica]) {
      expect(await seen(each, 'alice')).toBe('hub');
      const { peers } = await each.list({ userId: 'alice' });
      expect(peers.map(({ peerId, isHub = false }) => `${peerId} ${isHub}`)).toEqual([
        'hub true',
        'c false',
        'b false',
        'a false',
      ]);
      expect(peers[0]?.json).toBe(given.json);
    }
    expect(await replica.unregister('hub', 'alice', true)).toBe(true);
    expect(await seen(registry, 'alice')).toBe('c,b,a');
    expect(await seen(replica)).toBe('c,b,a');
  });

  test('lists the own record of the device besides the hub, if it belongs to the user', async () => {
    const { registry, replica } = subject();
    await registry.register(device('a'));
    await registry.register(hub('hub'));
    await registry.register(device('b', 'bob'));
    await registry.register(device('c'));
    expect(await seen(replica, 'alice', { ownPeerId: 'a' })).toBe('hub,a');
    expect(await seen(replica, 'alice', { ownPeerId: 'c' })).toBe('c,hub');
    expect(await seen(replica, 'alice', { ownPeerId: 'hub' })).toBe('hub');
    expect(await seen(replica, 'alice', { ownPeerId: 'b' })).toBe('hub');
    expect(await seen(replica, 'alice', { ownPeerId: 'unknown' })).toBe('hub');
    expect(await seen(replica, 'bob', { ownPeerId: 'b' })).toBe('b');
    expect((await replica.list({ userId: 'alice', star: { ownPeerId: 'a' } })).own).toBe('a');
    expect((await replica.list({ userId: 'bob', star: { ownPeerId: 'b' } })).own).toBeUndefined();
  });

  test('applies the star to each user in the listing of all, and to pages', async () => {
    const { registry, replica } = subject();
    for (const id of ['a1', 'a2', 'a3', 'a4']) await registry.register(device(id));
    for (const id of ['b1', 'b2', 'b3']) await registry.register(device(id, 'bob'));
    await registry.register(device('n1', null));
    await registry.register(hub('a0'));
    await registry.register(hub('a5'));
    for (const each of [registry, replica]) {
      expect(await seen(each)).toBe('a5,a0,n1,b3,b2,b1');
      expect(await seen(each, undefined, { ownPeerId: 'a2' })).toBe('a5,a0,n1,b3,b2,b1,a2');
      expect(await pagesOf(each, undefined, {})).toBe('a0,a5,b1,b2,b3,n1');
      expect(await pagesOf(each, undefined, { ownPeerId: 'a2' })).toBe('a0,a2,a5,b1,b2,b3,n1');
      expect(await pagesOf(each, 'alice', { ownPeerId: 'a2' })).toBe('a0,a2,a5');
      expect(await pagesOf(each, 'bob', { ownPeerId: 'b2' })).toBe('b1,b2,b3');
    }
    await replica.unregister('a0', undefined, true);
    expect(await pagesOf(registry, undefined, {})).toBe('a5,b1,b2,b3,n1');
    await registry.unregister('a5', undefined, true);
    expect(await pagesOf(replica, undefined, {})).toBe('a1,a2,a3,a4,b1,b2,b3,n1');
  });

  test('keeps the record of a live hub from tokens that are not those of hubs', async () => {
    const { registry, replica } = subject();
    await registry.register(hub('hub', 'alice', 'original'), 'alice');
    await registry.register(device('a'), 'alice');
    for (const owner of ['alice', undefined]) {
      expect(await replica.register(device('hub', 'alice', 'forged'), owner)).toEqual(HUB);
      expect(await replica.unregister('hub', owner)).toBe(false);
    }
    expect(await replica.register(device('hub', 'bob'), undefined)).toEqual(HUB);
    expect(await replica.register(device('hub', null), undefined)).toEqual(HUB);
    expect(await replica.register(hub('hub', 'bob'), 'bob')).toEqual({ ok: false, reason: 'foreign' });
    expect(await replica.unregister('hub', 'bob', true)).toBe(false);
    expect(await seen(registry, 'alice')).toBe('hub');
    expect(
      (await registry.list({ userId: 'alice' })).peers.find(({ peerId }) => peerId === 'hub')?.json,
    ).toContain('original');
    expect(await registry.register(hub('hub'), 'alice')).toEqual({ ok: true });
    expect(await replica.unregister('hub', 'alice', true)).toBe(true);
    expect(await seen(registry, 'alice')).toBe('a');
    expect(await replica.register(device('hub'), 'alice')).toEqual({ ok: true });
    expect(await seen(registry, 'alice')).toBe('hub,a');
    // The hub gets its peer id back.
    expect(await registry.register(hub('hub'), 'alice')).toEqual({ ok: true });
    expect(await seen(replica, 'alice')).toBe('hub');
  });

  test('does not make a hub of a refused registration, and of one without a user', async () => {
    const { registry, replica } = await use({ maxPeers: 2 });
    await registry.register(device('a'));
    await registry.register(device('b', 'bob'));
    expect(await registry.register(hub('c'))).toEqual({ ok: false, reason: 'full' });
    expect(await registry.register(hub('a', 'bob'), 'bob')).toEqual({ ok: false, reason: 'foreign' });
    expect(await registry.register(hub('b', null))).toEqual({ ok: true });
    for (const { isHub = false } of (await replica.list({})).peers) expect(isHub).toBe(false);
    expect(await seen(replica, 'alice')).toBe('a');
    expect(await seen(replica)).toBe('b,a');
    expect(await pagesOf(replica, undefined, {})).toBe('a,b');
  });

  test('moves a hub that changes its user', async () => {
    const { registry, replica } = subject();
    await registry.register(device('a'));
    await registry.register(device('b', 'bob'));
    await registry.register(hub('hub'));
    expect(await replica.register(hub('hub', 'bob'))).toEqual({ ok: true });
    expect(await seen(registry, 'alice')).toBe('a');
    expect(await seen(registry, 'bob')).toBe('hub');
    expect(await pagesOf(registry, undefined, {})).toBe('a,hub');
    expect(await replica.register(hub('hub', null))).toEqual({ ok: true });
    expect(await seen(registry, 'bob')).toBe('b');
    expect(await replica.register(hub('hub'))).toEqual({ ok: true });
    expect(await seen(registry, 'alice')).toBe('hub');
  });

  test('lists all devices again when the registration of the hub has expired', async () => {
    const { registry, replica } = await use({ ttlSeconds: 1 });
    await registry.register(hub('hub'));
    await until(async () => {
      await replica.register(device('a'));
      return (await seen(registry, 'alice')) === 'a';
    }, 'the device is listed');
    expect(await seen(replica)).toBe('a');
    await until(async () => (await pagesOf(replica, undefined, {})) === 'a', 'pages list the device too');
    // The mark ends with the registration.
    expect(await replica.register(device('hub'))).toEqual({ ok: true });
  });
}
