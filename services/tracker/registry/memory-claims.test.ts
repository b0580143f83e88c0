import { expect, test } from '@jest/globals';
import { device } from '../../../testing/tracker-registrations.ts';
import { CLAIM_SECONDS, MAX_CLAIMS_PER_KEY, MAX_REPORTS, REPORT_SECONDS } from './claims.ts';
import { createMemoryRegistry } from './memory-registry.ts';
import type { Registry } from './registry.ts';

function create(): { registry: Registry; clock: { seconds: number } } {
  const clock = { seconds: 1_000_000 };
  const options = {
    ttlSeconds: 60,
    maxPeers: 10_000,
    nowUnixMs: () => clock.seconds * 1_000,
    nowMs: () => clock.seconds * 1_000,
  };
  return { registry: createMemoryRegistry(options), clock };
}

async function kinds(registry: Registry, peerId: string, deviceId: string): Promise<string[]> {
  const result = await registry.register({ ...device(peerId), deviceId, hostname: null });
  return result.ok ? (result.conflicts ?? []).map(({ kind }) => kind) : [result.reason];
}

test('a conflict ends some minutes after one of the two devices stopped', async () => {
  const { registry, clock } = create();
  for (const id of ['a', 'b', 'a', 'b']) {
    clock.seconds += 30;
    await kinds(registry, 'p1', id);
  }
  for (let since = 30; since < CLAIM_SECONDS; since += 30) {
    clock.seconds += 30;
    expect(await kinds(registry, 'p1', 'a')).toEqual(['device_id']);
  }
  clock.seconds += 30;
  expect(await kinds(registry, 'p1', 'a')).toEqual([]);
  expect(await registry.conflicts()).toHaveLength(1);
  clock.seconds += REPORT_SECONDS;
  expect(await registry.conflicts()).toEqual([]);
});

test('a device that gets an earlier name again later is not a conflict', async () => {
  const { registry, clock } = create();
  await kinds(registry, 'p1', 'a');
  for (let n = 0; n <= CLAIM_SECONDS / 30; n += 1) {
    clock.seconds += 30;
    expect(await kinds(registry, 'p1', 'b')).toEqual([]);
  }
  expect(await kinds(registry, 'p1', 'a')).toEqual([]);
});

test('a limited number of claims and of conflicts is kept', async () => {
  const { registry } = create();
  for (const round of [1, 2, 3])
    for (let n = 0; n < 2 * MAX_CLAIMS_PER_KEY; n += 1)
      expect([round, n, await kinds(registry, 'p1', `id-${n}`)]).toEqual([
        round,
        n,
        // The claims above the limit are not stored.
        round > 1 && n < MAX_CLAIMS_PER_KEY ? ['device_id'] : [],
      ]);
  for (let n = 0; n < MAX_REPORTS + 10; n += 1)
    for (const id of ['a', 'b', 'a']) await kinds(registry, `q${n}`, `${n}-${id}`);
  expect(await registry.conflicts()).toHaveLength(MAX_REPORTS);
});
