import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from '@jest/globals';
import { difference, parseLines, type SyncResult } from '../scripts/local-network.ts';
import { finished } from '../scripts/processes.ts';
import { cleanUp } from '../testing/cleanup.ts';
import { metric } from '../testing/load-devices.ts';
import { makeEntries, startNetwork } from '../testing/network.ts';
import { residentMiB } from '../testing/process-usage.ts';

const ENTRIES = 1_000_000;

/** Deadline of the whole test, in milliseconds. On two idle cores it takes 30 seconds. */
const TEST_TIMEOUT_MS = 600_000;

afterEach(cleanUp);

test(
  'a history of 200 MB syncs through the relay over several circuits, without loss and with bounded memory',
  async () => {
    const { relay, device } = await startNetwork();
    const [a, b] = [device('a'), device('b')];
    a.insert(makeEntries('a', 1));
    const database = new DatabaseSync(a.databasePath, { timeout: 5_000 });
    // Random commands, which compress to half: more bytes than one circuit carries with the default limits.
    database.exec(`
      DELETE FROM entries;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ENTRIES})
      INSERT INTO entries (entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
      SELECT 'big-' || i, 'a', 'demo', 1700000000 + i, hex(randomblob(70)), '/home/demo', i % 3, i, 'bash', 'host-a', '1.0.0' FROM n;`);
    database.close();
    expect(statSync(a.databasePath).size).toBeGreaterThan(200_000_000);

    await a.serve();
    const syncing = b.start('sync', '--json');
    let peakMiB = 0;
    const watch = setInterval(() => (peakMiB = Math.max(peakMiB, residentMiB(relay))), 50);
    const { code, stdout } = await finished(syncing);
    clearInterval(watch);

    expect(code).toBe(0);
    expect(parseLines<SyncResult>(stdout)).toMatchObject([{ entries: ENTRIES, duplicates: 0 }]);
    expect(difference(a.databasePath, b.databasePath)).toEqual({ missing: 0, surplus: 0, rows: ENTRIES });
    expect(await metric(relay, 'rustory_relay_circuit_requests_total{outcome="ok"}')).toBeGreaterThan(1);
    expect(peakMiB).toBeGreaterThan(0);
    expect(peakMiB).toBeLessThan(256);
  },
  TEST_TIMEOUT_MS,
);
