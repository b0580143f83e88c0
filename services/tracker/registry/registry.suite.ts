// Tests of the guarantees in registry.ts. The test file of every implementation runs this suite.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { testCounts } from './counts.suite.ts';
import { testPages } from './pages.suite.ts';
import { testStar } from './star.suite.ts';
import type { ListQuery, RegisterResult, Registration, Registry } from './registry.ts';

const FULL = { ok: false, reason: 'full' };
const FOREIGN = { ok: false, reason: 'foreign' };

/** Two replicas of one registry, or the same object twice for a registry without replicas. */
export interface Replicas {
  readonly registry: Registry;
  readonly replica: Registry;
  close(): Promise<void>;
}

export interface SuiteOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
}

/** A registration of a device with a device id and a hostname. */
function named(peerId: string, deviceId: string | null, hostname: string | null, userId = 'alice') {
  return { ...device(peerId, userId), deviceId, hostname };
}

/** The conflicts of the last of some registrations, each on the next replica in turn, by kind. */
async function conflictsAfter({ registry, replica }: Replicas, given: Registration[]): Promise<unknown> {
  let result: RegisterResult = { ok: true };
  for (const [index, registration] of given.entries())
    result = await (index % 2 === 0 ? registry : replica).register(registration);
  if (!result.ok) return result.reason;
  return (result.conflicts ?? []).map(({ kind, claimants }) => [kind, claimants.join()]);
}

async function ids(registry: Registry, query: ListQuery = {}): Promise<string[]> {
  return (await registry.list(query)).peers.map(({ peerId }) => peerId);
}

export function suiteOfRegistry(name: string, open: (options: SuiteOptions) => Promise<Replicas>): void {
  describe(name, () => {
    let subject: Replicas;
    const use = async (options: Partial<SuiteOptions> = {}): Promise<Replicas> => {
      await subject.close();
      subject = await open({ ttlSeconds: 60, maxPeers: 1_000, ...options });
      return subject;
    };
    beforeEach(async () => {
      subject = await open({ ttlSeconds: 60, maxPeers: 1_000 });
    });
    afterEach(() => subject.close());

    test('lists nothing before anything is registered', async () => {
      expect(await subject.registry.list({})).toEqual({ peers: [] });
      expect(await subject.registry.list({ userId: 'alice' })).toEqual({ peers: [] });
    });

    test('lists a registration unchanged on every replica at once', async () => {
      const given = device('p1', 'alice', 'ünïcødé \n "quoted"');
      expect(await subject.registry.register(given)).toEqual({ ok: true });
      const { peers } = await subject.replica.list({ userId: 'alice' });
      expect(peers).toMatchObject([{ peerId: 'p1', json: given.json }]);
    });

    test('lists the time of the last registration', async () => {
      const beforeUnixMs = Date.now() - 1_000;
      await subject.registry.register(device('p1'));
      const seenUnixMicros = (await subject.registry.list({})).peers[0]?.seenUnixMicros ?? 0;
      expect(Number.isSafeInteger(seenUnixMicros)).toBe(true);
      expect(seenUnixMicros / 1_000).toBeGreaterThan(beforeUnixMs);
      expect(seenUnixMicros / 1_000).toBeLessThan(Date.now() + 1_000);
    });

    test('lists the newest registration first, and moves a peer to the front when it registers again', async () => {
      for (const id of ['p1', 'p2', 'p3', 'p1']) await subject.registry.register(device(id));
      expect(await ids(subject.registry)).toEqual(['p1', 'p3', 'p2']);
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual(['p1', 'p3', 'p2']);
    });

    test('lists the devices of one user only, and devices without a user only in the listing of all', async () => {
      await subject.registry.register(device('a', 'alice'));
      await subject.registry.register(device('b', 'bob'));
      await subject.registry.register(device('e', ''));
      await subject.registry.register(device('n', null));
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual(['a']);
      expect(await ids(subject.registry, { userId: '' })).toEqual(['e']);
      expect(await ids(subject.registry, { userId: 'null' })).toEqual([]);
      expect(await ids(subject.registry)).toEqual(['n', 'e', 'b', 'a']);
    });

    test('replaces the whole record, and removes the peer from the listing of its previous user', async () => {
      await subject.registry.register(device('p1', 'alice', 'old'));
      await subject.replica.register(device('p1', 'bob', 'new'));
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual([]);
      expect((await subject.registry.list({ userId: 'bob' })).peers[0]?.json).toContain('new');
      expect(await ids(subject.registry)).toEqual(['p1']);
    });

    test('lists a peer for its first user again when it returns to that user', async () => {
      for (const user of ['alice', 'bob', 'alice']) await subject.registry.register(device('p1', user));
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual(['p1']);
      expect(await ids(subject.registry, { userId: 'bob' })).toEqual([]);
    });

    test('removes an unregistered peer from every listing and returns whether there was one', async () => {
      await subject.registry.register(device('p1'));
      expect(await subject.replica.unregister('p1')).toBe(true);
      expect(await ids(subject.registry)).toEqual([]);
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual([]);
      expect(await subject.registry.unregister('p1')).toBe(false);
    });

    test('registers a peer again after it unregistered', async () => {
      await subject.registry.register(device('p1'));
      await subject.registry.unregister('p1');
      await subject.registry.register(device('p1'));
      expect(await ids(subject.registry, { userId: 'alice' })).toEqual(['p1']);
    });

    test('does not let an owner replace or remove the live record of another user', async () => {
      await subject.registry.register(device('p1', 'alice', 'original'));
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(FOREIGN);
      expect(await subject.registry.unregister('p1', 'bob')).toBe(false);
      expect((await subject.registry.list({ userId: 'alice' })).peers[0]?.json).toContain('original');
      expect(await ids(subject.registry, { userId: 'bob' })).toEqual([]);
    });

    test('lets an owner register, renew and remove its own record', async () => {
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual({ ok: true });
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual({ ok: true });
      expect(await subject.registry.unregister('p1', 'bo')).toBe(false);
      expect(await subject.registry.unregister('p1', 'bob')).toBe(true);
    });

    test('removes a peer that does not register again within its time to live', async () => {
      const { registry } = await use({ ttlSeconds: 1 });
      await registry.register(device('p1'));
      await registry.register(device('p2', 'bob'));
      expect(await ids(registry)).toEqual(['p2', 'p1']);
      await until(async () => (await ids(registry)).length === 0, 'both peers are removed');
      expect(await ids(registry, { userId: 'alice' })).toEqual([]);
      await until(() => registry.live() === 0, 'no peer is counted');
    });

    test('registers no more than the maximum number of peers when many peers register at the same time', async () => {
      const { registry, replica } = await use({ maxPeers: 50 });
      const results = await Promise.all(
        Array.from({ length: 200 }, async (_, n) =>
          (n % 2 === 0 ? registry : replica).register(device(`p${n}`)),
        ),
      );
      expect(results.filter(({ ok }) => ok)).toHaveLength(50);
      expect(results.filter((result) => !result.ok && result.reason === 'full')).toHaveLength(150);
      expect(await ids(registry)).toHaveLength(50);
      expect(await ids(replica, { userId: 'alice' })).toHaveLength(50);
    });

    test('renews peers when it is full, and accepts a new one after one unregistered', async () => {
      const { registry } = await use({ maxPeers: 2 });
      for (const id of ['p1', 'p2', 'p1']) expect(await registry.register(device(id))).toEqual({ ok: true });
      expect(await registry.register(device('p3'))).toEqual(FULL);
      await registry.unregister('p1');
      expect(await registry.register(device('p3'))).toEqual({ ok: true });
      expect(await ids(registry)).toEqual(['p3', 'p2']);
    });

    test('accepts a new peer after one expired', async () => {
      const { registry } = await use({ maxPeers: 1, ttlSeconds: 1 });
      await registry.register(device('p1'));
      expect(await registry.register(device('p2'))).toEqual(FULL);
      await until(async () => (await registry.register(device('p2'))).ok, 'the new peer is registered');
      expect(await ids(registry)).toEqual(['p2']);
    });

    test('counts live peers', async () => {
      for (const id of ['p1', 'p2', 'p3', 'p1']) await subject.registry.register(device(id, null));
      await until(() => subject.registry.live() === 3, 'three peers are counted');
    });

    testCounts(() => subject, use);
    testPages(() => subject);
    testStar(() => subject, use);

    test('lists thousands of peers completely', async () => {
      const { registry, replica } = await use({ maxPeers: 5_000 });
      for (let from = 0; from < 3_000; from += 500)
        await Promise.all(
          Array.from({ length: 500 }, async (_, n) => registry.register(device(`p${from + n}`))),
        );
      expect(new Set(await ids(replica, { userId: 'alice' })).size).toBe(3_000);
    });

    test('reports two devices with one identity key when their registrations alternate, on any replicas', async () => {
      const [a, b] = [named('p1', 'desk', 'desk.local'), named('p1', 'lap', 'Lap')];
      expect(await conflictsAfter(subject, [a, a, b, b])).toEqual([]);
      expect(await conflictsAfter(subject, [a])).toEqual([
        ['device_id', 'desk,lap'],
        ['hostname', 'desk,lap'],
      ]);
      await until(async () => (await subject.replica.conflicts()).length === 2, 'they are reported');
      expect(await subject.registry.conflicts()).toContainEqual({
        kind: 'hostname',
        subject: 'p1',
        userId: 'alice',
        claimants: ['desk', 'lap'],
      });
      expect(await subject.registry.list({})).toMatchObject({ peers: [{ peerId: 'p1' }] });
    });

    test('reports two devices that register only during a sync', async () => {
      const { registry, replica } = subject;
      for (const id of ['a', 'b']) {
        await registry.register(named('p1', id, id));
        await replica.unregister('p1');
      }
      expect(await conflictsAfter(subject, [named('p1', 'a', 'a')])).toHaveLength(2);
    });

    test('reports hostnames alone, and device ids alone', async () => {
      expect(
        await conflictsAfter(
          subject,
          ['x', 'y', 'x'].map((host) => named('p1', 'same', host)),
        ),
      ).toEqual([['hostname', 'x,y']]);
      expect(
        await conflictsAfter(
          subject,
          ['x', 'y', 'x'].map((id) => named('p2', id, 'same')),
        ),
      ).toEqual([['device_id', 'x,y']]);
    });

    test.each([
      ['renamed once', [named('p1', 'a', 'a'), named('p1', 'b', 'b'), named('p1', 'b', 'b')]],
      ['renamed twice', [named('p1', 'a', 'a'), named('p1', 'b', 'b'), named('p1', 'c', 'c')]],
      [
        'known under two architectures',
        [named('p1', 'a-x86_64', 'a'), named('p1', 'a', 'a'), named('p1', 'a-x86_64', 'a')],
      ],
      [
        'in networks with and without .local',
        [named('p1', 'a', 'a'), named('p1', 'a', 'A.local'), named('p1', 'a', 'a')],
      ],
      [
        'that sometimes omits its names',
        [named('p1', 'a', 'a'), named('p1', null, null), named('p1', 'a', 'a')],
      ],
      ['installed again', [named('p1', 'a', 'a'), named('p2', 'a', 'a'), named('p2', 'a', 'a')]],
      [
        'with the device id of another user',
        [named('p1', 'a', 'a'), named('p2', 'a', 'a', 'bob'), named('p1', 'a', 'a')],
      ],
      ['with other ids', [named('p1', 'a', 'a'), named('p2', 'b', 'a'), named('p1', 'a', 'a')]],
    ])('does not report a device %s', async (_, given) => {
      expect(await conflictsAfter(subject, given)).toEqual([]);
      expect(await subject.registry.conflicts()).toEqual([]);
    });

    test('reports two devices with one device id when both are registered', async () => {
      const given = ['p1', 'p2', 'p1'].map((peerId) => named(peerId, 'laptop', peerId));
      expect(await conflictsAfter(subject, given)).toEqual([['peer_id', 'p1,p2']]);
      await until(async () => (await subject.replica.conflicts()).length === 1, 'it is reported');
      expect(await subject.registry.conflicts()).toEqual([
        { kind: 'peer_id', subject: 'laptop', userId: 'alice', claimants: ['p1', 'p2'] },
      ]);
    });

    test('does not count registrations that were refused', async () => {
      const { registry } = subject;
      const mine = named('p1', 'mine', 'mine');
      await registry.register(mine);
      expect(await registry.register(named('p1', 'other', 'other', 'bob'), 'bob')).toEqual(FOREIGN);
      // The claims of the refused registration are withdrawn without waiting.
      await until(async () => (await registry.list({})).peers.length === 1, 'the registry answers');
      expect(await conflictsAfter(subject, [mine, mine])).toEqual([]);
    });
  });
}
