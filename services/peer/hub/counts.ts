// The numbers of entries and deletions for the metrics, counted at most twice a minute: counting reads a whole index.
import type { Database } from '../history/database.ts';

/** Time for which a count is used again, in milliseconds; that of two scrapes. */
const REUSE_MS = 30_000;

export interface StoredCounts {
  readonly entries: number;
  readonly deletions: number;
}

/** Returns a function that counts, and that returns the last counts while the database cannot be read. */
export function createStoredCounts({ sqlite, read }: Database, nowMs: () => number): () => StoredCounts {
  const count = read(() =>
    sqlite.prepare(
      'SELECT (SELECT count(*) FROM entries) AS entries, (SELECT count(*) FROM entry_deletions) AS deletions',
    ),
  );
  let counts: StoredCounts = { entries: 0, deletions: 0 };
  let countedMs = -Infinity;
  return () => {
    if (nowMs() - countedMs < REUSE_MS) return counts;
    countedMs = nowMs();
    try {
      counts = read(() => count.get() as unknown as StoredCounts);
    } catch {
      // Reported by the readiness and by the database component.
    }
    return counts;
  };
}
