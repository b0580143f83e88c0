import { describe, expect, test } from '@jest/globals';
import type { Result } from '../../shared/result.ts';
import { STORAGE_PROBLEMS, type StorageProblem } from '../history/storage-problems.ts';
import { PULL_OUTCOMES, type PullEvent } from '../sync/pull-outcomes.ts';
import { PUSH_OUTCOMES, type PushEvent } from '../sync/push-outcomes.ts';
import { createHubMetrics, SOURCES } from './metrics.ts';
import { OWN_PULL_OUTCOMES } from './outcomes.ts';

const PUSH: PushEvent = {
  outcome: 'stored',
  peer: '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x',
  userId: 'ada',
  deviceId: 'laptop',
  entries: 10,
  deletions: 1,
  inserted: 7,
  invalid: 2,
  bytes: 500,
  durationMs: 120,
};
const PULL: PullEvent = {
  outcome: 'served',
  peer: PUSH.peer,
  entries: 5,
  deletions: 0,
  bytes: 300,
  durationMs: 3,
  isBeyondStored: false,
};
const SIZES = { databaseBytes: 4_096, logBytes: 32, freeBytes: 1_000_000, limitBytes: 900_000 };

function start() {
  const state = {
    silent: [] as number[],
    check: { ok: true } as Result<object, StorageProblem>,
    sizes: () => SIZES,
  };
  const metrics = createHubMetrics({ cipher: 'noble', wantedReservations: 2 });
  metrics.observe({
    counts: () => ({ entries: 11, deletions: 3 }),
    reservations: () => 1,
    silentSeconds: () => state.silent,
    storage: { check: () => state.check, sizes: () => state.sizes() },
  });
  return { metrics, state, text: async () => metrics.registry.metrics() };
}

describe('the metrics of the hub', () => {
  test('have every series of a counter before its first event', async () => {
    const text = await start().text();
    for (const [name, label, values] of [
      ['rustory_hub_pushes_total', 'outcome', PUSH_OUTCOMES],
      ['rustory_hub_pulls_total', 'outcome', PULL_OUTCOMES],
      ['rustory_hub_own_pulls_total', 'outcome', OWN_PULL_OUTCOMES],
      ['rustory_hub_received_entries_total', 'source', SOURCES],
      ['rustory_hub_stored_entries_total', 'source', SOURCES],
      ['rustory_hub_invalid_items_total', 'source', SOURCES],
      ['rustory_hub_received_bytes_total', 'source', SOURCES],
      ['rustory_hub_storage_problem', 'reason', STORAGE_PROBLEMS],
    ] as const)
      for (const value of Object.keys(values)) expect(text).toContain(`${name}{${label}="${value}"} 0`);
    for (const name of ['sent_entries', 'sent_bytes', 'high_requests'])
      expect(text).toContain(`rustory_hub_${name}_total 0`);
    expect(text).toContain('rustory_hub_device_silent_seconds_count 0');
    expect(text).toContain('rustory_hub_lag_seconds_count 0');
    expect(text).toContain('rustory_hub_push_duration_seconds_count 0');
  });

  test('count pushes and pulls, also those that are refused', async () => {
    const { metrics, text } = start();
    metrics.push(PUSH);
    metrics.push({ ...PUSH, outcome: 'foreign_items', inserted: 0 });
    metrics.pull(PULL);
    metrics.pull({ ...PULL, outcome: 'refused', entries: 0, bytes: 0 });
    metrics.pull({ ...PULL, isBeyondStored: true });
    metrics.ownPull('complete', { received: 4, stored: 3, invalid: 0, bytes: 50 });
    metrics.ownPull('skipped');
    metrics.lag(40);
    const page = await text();
    for (const line of [
      'rustory_hub_pushes_total{outcome="stored"} 1',
      'rustory_hub_pushes_total{outcome="foreign_items"} 1',
      'rustory_hub_received_entries_total{source="push"} 20',
      'rustory_hub_stored_entries_total{source="push"} 7',
      'rustory_hub_invalid_items_total{source="push"} 4',
      'rustory_hub_push_duration_seconds_count 1',
      'rustory_hub_pulls_total{outcome="served"} 2',
      'rustory_hub_pulls_total{outcome="refused"} 1',
      'rustory_hub_sent_entries_total 10',
      'rustory_hub_high_requests_total 1',
      'rustory_hub_own_pulls_total{outcome="complete"} 1',
      'rustory_hub_stored_entries_total{source="pull"} 3',
      'rustory_hub_lag_seconds_bucket{le="15"} 0',
      'rustory_hub_lag_seconds_bucket{le="60"} 1',
    ])
      expect(page).toContain(line);
  });

  test('have a snapshot of the silent devices at each scrape', async () => {
    const { state, text } = start();
    state.silent = [30, 90_000];
    await text();
    expect(await text()).toContain('rustory_hub_device_silent_seconds_bucket{le="86400"} 1');
    state.silent = [60, 90_060, 5];
    const page = await text();
    expect(page).toContain('rustory_hub_device_silent_seconds_bucket{le="120"} 2');
    expect(page).toContain('rustory_hub_device_silent_seconds_count 3');
    expect(page).toContain('rustory_hub_devices 3');
  });

  test('show why nothing can be stored, and no size when the database cannot be read', async () => {
    const { state, text } = start();
    expect(await text()).toContain('rustory_hub_database_max_bytes 900000');
    state.check = { ok: false, reason: 'disk_full' };
    state.sizes = () => {
      throw new Error('The database cannot be read.');
    };
    const page = await text();
    expect(page).toContain('rustory_hub_storage_problem{reason="disk_full"} 1');
    expect(page).toContain('rustory_hub_storage_problem{reason="not_writable"} 0');
    expect(page).toContain('rustory_hub_database_bytes Nan');
  });

  test('name no device, user or peer', async () => {
    const { metrics, text } = start();
    metrics.push(PUSH);
    metrics.pull(PULL);
    expect(await text()).not.toMatch(/laptop|ada"|12D3KooW/);
  });
});
