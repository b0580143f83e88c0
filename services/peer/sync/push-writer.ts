// Stores the pushes of all devices, several in one transaction, because each commit waits for the disk. A transaction ends
// after a short time, and the next one begins with the pushes that waited, so that a large push delays neither small ones nor
// the event loop. What a transaction stored stays stored.
import { setTimeout as sleep, setImmediate } from 'node:timers/promises';
import { toError } from '../../shared/errors.ts';
import { refused, type Result } from '../../shared/result.ts';
import { DatabaseError } from '../history/database.ts';
import type { Deletion } from '../history/deletion.ts';
import type { Entry } from '../history/entry.ts';
import type { PushInserts } from '../history/push-inserts.ts';
import type { Store } from '../history/store.ts';
import { outcomeOfStorage, type PushStorage, type StorageOutcome } from './push-outcomes.ts';

/** Time after which a transaction is committed, in milliseconds. The event loop waits for it, and then for the disk. */
const TRANSACTION_MS = 50;

/** Maximum items of one push in a transaction, so that other pushes are in it too. */
const MAX_ITEMS_PER_TURN = 1_000;

/** Pause before the next attempt while another process writes, in milliseconds. */
const LOCK_RETRY_MS = 20;

/** What was stored of a push. */
export interface StoredCounts {
  readonly inserted: number;
  readonly deletionInserted: number;
  readonly deletionDeleted: number;
}

export const NOTHING_STORED: StoredCounts = { inserted: 0, deletionInserted: 0, deletionDeleted: 0 };

export function addStored(a: StoredCounts, b: StoredCounts): StoredCounts {
  return {
    inserted: a.inserted + b.inserted,
    deletionInserted: a.deletionInserted + b.deletionInserted,
    deletionDeleted: a.deletionDeleted + b.deletionDeleted,
  };
}

export type PushItems =
  | { readonly kind: 'deletions'; readonly items: readonly Deletion[] }
  | { readonly kind: 'entries'; readonly items: readonly Entry[] };

export type WriteProblem = StorageOutcome | 'stopping' | 'deadline';

export interface WriteOptions {
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Gives up if another process is writing. */
  readonly lockSignal: AbortSignal;
  /** Called after each transaction with what it stored of these items. */
  readonly onStored: (counts: StoredCounts) => void;
}

export interface PushWriter {
  /** Resolves when all items are stored and on the disk. */
  write(items: PushItems, options: WriteOptions): Promise<Result<object, WriteProblem>>;
  /** Whether the last attempt failed because another process was writing. */
  isLocked(): boolean;
  /** Ends all writes. */
  stop(): void;
}

/** Items of a push that are not stored yet. */
interface Job extends WriteOptions {
  readonly items: PushItems;
  position: number;
  settle(result: Result<object, WriteProblem>): void;
  fail(error: Error): void;
}

/** What a transaction does for one push. */
interface Turn {
  readonly job: Job;
  readonly position: number;
  readonly counts: StoredCounts;
}

export interface PushWriterDeps {
  readonly store: Pick<Store, 'storePushed'>;
  readonly storage?: PushStorage | undefined;
  /** Monotonic clock in milliseconds. */
  readonly nowMs: () => number;
}

export function createPushWriter({ store, storage, nowMs }: PushWriterDeps): PushWriter {
  const jobs = new Set<Job>();
  let [isRunning, isLocked, isStopped] = [false, false, false];

  function dropAborted(): void {
    for (const job of jobs)
      if (job.signal.aborted) job.settle(refused(isLocked ? 'locked' : 'deadline'));
      else if (isLocked && job.lockSignal.aborted) job.settle(refused('locked'));
  }

  /** Stores what fits into one transaction. */
  function runTransaction(): void {
    const startedMs = nowMs();
    const isLate = (): boolean => nowMs() - startedMs >= TRANSACTION_MS;
    const turns: Turn[] = [];
    const result = store.storePushed((inserts) => {
      for (const job of jobs) {
        turns.push(takeTurn(job, inserts, isLate));
        if (isLate()) break;
      }
    });
    isLocked = !result.ok;
    if (!result.ok) return;
    for (const { job, position, counts } of turns) {
      job.position = position;
      job.onStored(counts);
      // The others go first in the next transaction.
      jobs.delete(job);
      if (position < job.items.items.length) jobs.add(job);
      else job.settle({ ok: true });
    }
  }

  async function run(): Promise<void> {
    isRunning = true;
    while (jobs.size > 0) {
      try {
        runTransaction();
      } catch (error) {
        const problem = error instanceof DatabaseError ? outcomeOfStorage(error, storage) : undefined;
        for (const job of jobs) {
          if (problem === undefined) job.fail(toError(error));
          else job.settle(refused(problem));
        }
      }
      await (isLocked ? sleep(LOCK_RETRY_MS) : setImmediate());
      dropAborted();
    }
    [isRunning, isLocked] = [false, false];
  }

  return {
    async write(items, options) {
      if (isStopped) return refused('stopping');
      return new Promise((resolve, reject) => {
        const end = (work: () => void): void => {
          jobs.delete(job);
          work();
        };
        const job: Job = {
          ...options,
          items,
          position: 0,
          settle: (result) => end(() => resolve(result)),
          fail: (error) => end(() => reject(error)),
        };
        jobs.add(job);
        if (!isRunning) void run();
      });
    },
    isLocked: () => isLocked,
    stop() {
      isStopped = true;
      for (const job of jobs) job.settle(refused('stopping'));
    },
  };
}

/** Stores items of one push, at least one, until its turn ends. */
function takeTurn(job: Job, inserts: PushInserts, isLate: () => boolean): Turn {
  const { items, position: start } = job;
  const end = Math.min(items.items.length, start + MAX_ITEMS_PER_TURN);
  let position = start;
  let [inserted, deletionInserted, deletionDeleted] = [0, 0, 0];
  while (position < end && (position === start || !isLate())) {
    if (items.kind === 'entries') {
      const entry = items.items[position];
      if (entry !== undefined && inserts.insertEntry(entry)) inserted += 1;
    } else {
      const deletion = items.items[position];
      const counts = deletion && inserts.insertDeletion(deletion);
      deletionInserted += counts?.newDeletions ?? 0;
      deletionDeleted += counts?.deleted ?? 0;
    }
    position += 1;
  }
  return { job, position, counts: { inserted, deletionInserted, deletionDeleted } };
}
