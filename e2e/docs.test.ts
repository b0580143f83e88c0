import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startRelay, startTracker } from '../scripts/local-network.ts';
import type { Running } from '../scripts/processes.ts';

test('the documents that are made from the code are what the code makes', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.ts', '--check'], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

/** Each name that the pattern finds, once, in order. */
function names(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].toSorted();
}

describe('docs/metrics.md', () => {
  const page = readFileSync('docs/metrics.md', 'utf8');
  const folder = mkdtempSync(join(tmpdir(), 'rustory-docs-'));
  const running: Running[] = [];
  const shown = new Map<string, string>();

  beforeAll(async () => {
    const relay = await startRelay(folder);
    running.push(relay);
    // No Redis answers there; the metrics about it are shown all the same.
    const tracker = await startTracker({ env: { TRACKER_REDIS_URL: 'redis://127.0.0.1:1' } });
    running.push(tracker);
    const { address } = await tracker.waitFor('ops listening');
    for (const [service, ops] of [
      ['rustory_relay', relay.ops] as const,
      ['rustory_tracker', String(address)] as const,
    ])
      shown.set(service, await (await fetch(`http://${ops}/metrics`)).text());
  }, 60_000);

  afterAll(async () => {
    await Promise.all(running.map(async (service) => service.stop()));
    rmSync(folder, { recursive: true });
  }, 60_000);

  test.each(['rustory_relay', 'rustory_tracker'])(
    'tells of every metric %s_… there is, and of no other',
    (prefix) => {
      const real = names(shown.get(prefix) ?? '', new RegExp(`^# TYPE (${prefix}_\\w+)`, 'gm'));
      expect(real.length).toBeGreaterThan(5);
      expect(names(page, new RegExp(`\`(${prefix}_\\w+)`, 'g'))).toEqual(real);
    },
  );

  test.each(['rustory_relay', 'rustory_tracker'])('tells of every reason and outcome of %s_…', (prefix) => {
    const values = [...(shown.get(prefix) ?? '').matchAll(/(?:reason|outcome)="(\w+)"/g)].map(
      ([, value]) => value,
    );
    expect(values.length).toBeGreaterThan(5);
    expect([...new Set(values)].filter((value) => !page.includes(`\`${value}\``))).toEqual([]);
  });
});
