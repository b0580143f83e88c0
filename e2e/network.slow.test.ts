// A sync of 200 MB through the relay.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from '@jest/globals';
import { difference, parseLines, type SyncResult } from '../scripts/local-network.ts';
import { finished } from '../scripts/processes.ts';
import { cleanUp } from '../testing/cleanup.ts';
import { metric } from '../testing/load-devices.ts';
import { startNetwork } from '../testing/network.ts';
import { residentMiB } from '../testing/process-usage.ts';

const SAMPLE = join(import.meta.dirname, '../scripts/sample/bash_history');
const ENTRIES = 1_000_000;
const MIN_DATABASE_BYTES = 200_000_000;
const MAX_RELAY_MIB = 256;
const SAMPLE_INTERVAL_MS = 50;
const TIMEOUT_MS = 10 * 60_000;

afterEach(cleanUp);

test(
  'a history of 200 MB syncs through the relay over several circuits, and the histories are equal',
  async () => {
    const network = await startNetwork();
    const { relay } = network;
    const [a, b] = [network.device('a'), network.device('b')];
    // The import creates the tables.
    await a.run('import', '--shell', 'bash', SAMPLE);
    const database = new DatabaseSync(a.databasePath, { timeout: 5_000 });
    // Random commands compress to half of their size, which exceeds the default byte limit of a circuit.
    database.exec(`
      DELETE FROM entries;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ENTRIES})
      INSERT INTO entries (entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
      SELECT 'big-' || i, 'a', 'demo', 1700000000 + i, hex(randomblob(70)), '/home/demo', i % 3, i, 'bash', 'host-a', '1.0.0' FROM n;`);
    database.close();
    expect(statSync(a.databasePath).size).toBeGreaterThan(MIN_DATABASE_BYTES);

    await a.serve();
    const syncing = b.start('sync', '--json');
    let peakMiB = 0;
    const sampling = setInterval(() => (peakMiB = Math.max(peakMiB, residentMiB(relay))), SAMPLE_INTERVAL_MS);
    const { code, stdout } = await finished(syncing);
    clearInterval(sampling);

    expect(code).toBe(0);
    expect(parseLines<SyncResult>(stdout)).toMatchObject([{ entries: ENTRIES, duplicates: 0 }]);
    expect(difference(a.databasePath, b.databasePath)).toEqual({ missing: 0, surplus: 0, rows: ENTRIES });
    expect(await metric(relay, 'rustory_relay_circuit_requests_total{outcome="ok"}')).toBeGreaterThan(1);
    expect(peakMiB).toBeGreaterThan(0);
    expect(peakMiB).toBeLessThan(MAX_RELAY_MIB);
  },
  TIMEOUT_MS,
);
