// The entries of the history, the deletions, and the cursors of each peer. Cursors are stored in the same transaction as
// their page, so that a crash neither loses nor repeats anything.
import type { Result } from '../../shared/result.ts';
import type { Database } from './database.ts';
import type { Deletion } from './deletion.ts';
import { createDeletions, type DeletionCounts, type StoredDeletion } from './deletions.ts';
import type { Entry } from './entry.ts';
import { createEntryInserts, type InsertCounts } from './entry-inserts.ts';
import { ENTRY_COLUMNS_SQL, NOT_DELETED_SQL, readRow, SUSPICIOUS_SQL } from './entry-rows.ts';
import { createHighRequests, type HighRequest } from './high-requests.ts';
import { createImportIds, type ImportRecord } from './import-ids.ts';
import {
  createPeerCursors,
  type Cursors,
  type PullPosition,
  type PullState,
  type SomeCursors,
} from './peer-cursors.ts';
import { createPushInserts, type PushInserts } from './push-inserts.ts';
import { createSequences } from './sequences.ts';

/** An entry with its `ingest_seq`: its number in this database, in the order of arrival. */
export interface StoredEntry {
  readonly seq: number;
  readonly entry: Entry;
}

/** A stored entry that cannot be sent, because `rr` or an earlier version of this peer accepted what others cannot store. */
export interface UnsendableEntry {
  readonly seq: number;
  /** `undefined` when the id itself is not valid. */
  readonly entryId: string | undefined;
  /** Why, as a whole sentence. */
  readonly text: string;
}

/** What one response of a peer contains. */
export interface Page {
  readonly entries: readonly Entry[];
  readonly deletions: readonly Deletion[];
}

export interface PageCounts extends InsertCounts, DeletionCounts {}

/** A peer with the position after a page in its database; what is absent does not change. */
export interface PagePosition extends SomeCursors {
  readonly peerId: string;
  /** The id of the last entry of the page. */
  readonly entryId?: string | undefined;
  /** The position at which the page was requested. The cursors do not move if it is another one now. */
  readonly read?: PullPosition | undefined;
}

export interface StoredPage extends PageCounts {
  /** Whether the cursors moved. */
  readonly isMoved: boolean;
}

/** Who deletes entries, and when. */
export type DeletedBy = Omit<Deletion, 'entry_id'>;

export interface Store {
  /** Stores new entries. An entry that was deleted is not stored. */
  insert(entries: readonly Entry[]): InsertCounts;
  /** Stores the records of a history file that are neither stored nor deleted under one of their ids. */
  importRecords(records: readonly ImportRecord[]): InsertCounts;
  /** Stores a page of a peer and its cursors in one transaction: deletions first, then the entries that are not deleted. */
  insertPage(page: Page, position: PagePosition): StoredPage;
  /**
   * Stores what devices push, in one transaction. `work` calls the inserts, deletions first. Does not wait for another process
   * that is writing. Everything that the inserts found in the database, or added, survives a power failure if the database is
   * durable.
   */
  storePushed(work: (inserts: PushInserts) => void): Result<object, 'locked'>;
  /** Deletes entries by their ids. */
  deleteEntries(entryIds: readonly string[], by: DeletedBy): DeletionCounts;
  /** The entries whose command is exactly this text, oldest first. */
  findByCommand(command: string): Entry[];
  findById(entryId: string): Entry | undefined;
  /** Whether there is an entry with this id, even one that cannot be sent. */
  hasEntry(entryId: string): boolean;
  isDeleted(entryId: string): boolean;
  /**
   * Reads at most `limit` entries after `seq`, oldest first: calls `visit` with each until it returns false, and `skip` with
   * each that cannot be sent. All calls happen before this returns, so that no reader holds a transaction open.
   */
  readAfter(
    seq: number,
    limit: number,
    visit: (stored: StoredEntry) => boolean,
    skip?: (unsendable: UnsendableEntry) => void,
  ): void;
  /** Calls `visit` with each entry that cannot be sent, oldest first, until it returns false. */
  readUnsendable(visit: (unsendable: UnsendableEntry) => boolean): void;
  /** The same for deletions and their `delete_seq`. */
  readDeletionsAfter(seq: number, limit: number, visit: (stored: StoredDeletion) => boolean): void;
  /** The `delete_seq` of each deletion that cannot be sent. */
  unsendableDeletions(): number[];
  /** The `ingest_seq` before the last `count` entries. */
  startOfLast(count: number): number;
  /** The number of entries, the number of their devices, and the highest `ingest_seq`. */
  summary(): { readonly entries: number; readonly devices: number; readonly lastSeq: number };
  /** The pull cursors of a peer. */
  cursorsOf(peerId: string): Cursors;
  /** The same, with the entry at which the cursor stands. */
  positionOf(peerId: string): PullPosition;
  cursors(): Array<{ readonly peerId: string } & Cursors>;
  /** The highest `ingest_seq` and `delete_seq` of rows that were really stored, also of rows that no longer exist. */
  highestStored(): Cursors;
  /** Whether a peer cannot have pulled up to these positions from this database. */
  isNeverStored(cursors: SomeCursors): boolean;
  /** Remembers that rows up to these numbers were stored, whatever another program does with them later. */
  noteSent(sent: SomeCursors): void;
  /**
   * Makes sure that what is stored from now on has numbers above all that this database, or one that it replaces, ever
   * assigned. To be called before other devices may pull.
   */
  raiseSequences(): void;
  /**
   * The peer has everything up to these positions in this database: moves its push cursors forward. A position that this
   * database never had acknowledges nothing. Only for members: `rr prune` keeps what a peer with push cursors lacks.
   */
  acknowledge(peerId: string, cursors: SomeCursors): void;
  /**
   * Sets the pull cursors and the push cursors of a peer whose database is new to 0.
   *
   * @param read when given, nothing changes if the position is another one now
   * @returns whether they were set
   */
  resetCursors(peerId: string, read?: PullPosition): boolean;
  /** Remembers a request with cursors that this database never assigned. */
  noteHighRequest(request: HighRequest): void;
  /** Such requests since a time, latest first. */
  highRequestsSince(unixSeconds: number): HighRequest[];
  pullState(peerId: string): PullState;
  setPullState(peerId: string, state: PullState): void;
  /** Whether `rr` removed this peer from the user's devices. */
  isRevoked(peerId: string): boolean;
}

export function createStore(database: Database): Store {
  const { sqlite } = database;
  const deletions = createDeletions(database);
  const importIds = createImportIds(database, deletions);
  const sequences = createSequences(database);
  const highRequests = createHighRequests(database);
  const { insertAll } = createEntryInserts(database);
  const peers = createPeerCursors(database, sequences.highestStored);
  const statements = database.read(() => ({
    page: sqlite.prepare(
      `SELECT ingest_seq, ${ENTRY_COLUMNS_SQL} FROM entries WHERE ingest_seq > ? AND ${NOT_DELETED_SQL}
       ORDER BY ingest_seq LIMIT ?`,
    ),
    suspicious: sqlite.prepare(
      `SELECT ingest_seq, ${ENTRY_COLUMNS_SQL} FROM entries WHERE (${SUSPICIOUS_SQL}) AND ${NOT_DELETED_SQL}
       ORDER BY ingest_seq`,
    ),
    hasEntry: sqlite.prepare(`SELECT 1 FROM entries WHERE entry_id = ? AND ${NOT_DELETED_SQL}`),
    byCommand: sqlite.prepare(
      `SELECT ${ENTRY_COLUMNS_SQL} FROM entries WHERE cmd = ? AND ${NOT_DELETED_SQL} ORDER BY ts, ingest_seq`,
    ),
    byId: sqlite.prepare(
      `SELECT ${ENTRY_COLUMNS_SQL} FROM entries WHERE entry_id = ? AND ${NOT_DELETED_SQL}`,
    ),
    startOfLast: sqlite.prepare('SELECT ingest_seq FROM entries ORDER BY ingest_seq DESC LIMIT 1 OFFSET ?'),
    summary: sqlite.prepare(
      'SELECT count(*) AS entries, count(DISTINCT device_id) AS devices, coalesce(max(ingest_seq), 0) AS lastSeq FROM entries',
    ),
    isRevoked: sqlite.prepare('SELECT 1 FROM peer_revocations WHERE peer_id = ?'),
  }));

  /** Runs `work`, and remembers the highest numbers that it stored. */
  function noted<T>(work: () => T): T {
    const result = work();
    sequences.note();
    return result;
  }

  /** Whether the log of SQLite contains what was deleted. */
  let isLogStale = false;

  /** Runs `work` in one transaction, and removes what was deleted from the log of SQLite. */
  function writeDeletions<T extends DeletionCounts>(work: () => T): T {
    const counts = database.write(() => {
      // Deletions may remove the rows with the highest numbers.
      sequences.note();
      return noted(work);
    });
    emptyLogAfter(counts.deleted);
    return counts;
  }

  function emptyLogAfter(deleted: number): void {
    if (deleted > 0 || isLogStale) isLogStale = !database.emptyLog();
  }

  return {
    insert: (entries) => database.write(() => noted(() => insertAll(entries))),
    importRecords: (records) =>
      database.write(() => {
        const entries = records.flatMap((record) => importIds.resolve(record) ?? []);
        const { inserted } = noted(() => insertAll(entries));
        return { inserted, duplicates: records.length - inserted };
      }),
    insertPage(page, { peerId, read, ...to }) {
      deletions.complete();
      return writeDeletions(() => {
        const counts = deletions.apply(page.deletions);
        const inserted = insertAll(page.entries);
        return { ...counts, ...inserted, isMoved: peers.move(peerId, to, read) };
      });
    },
    storePushed: createPushInserts(database, { deletions, sequences, emptyLogAfter }),
    deleteEntries: (entryIds, by) =>
      writeDeletions(() => deletions.apply(entryIds.map((entryId) => ({ ...by, entry_id: entryId })))),
    findByCommand: (command) =>
      database.read(() => statements.byCommand.all(command).flatMap((row) => toEntry(row) ?? [])),
    findById: (entryId) => database.read(() => toEntry(statements.byId.get(entryId))),
    hasEntry: (entryId) => database.read(() => statements.hasEntry.get(entryId) !== undefined),
    isDeleted: (entryId) => deletions.find(entryId) !== undefined,
    readAfter(seq, limit, visit, skip) {
      database.read(() => {
        for (const row of statements.page.iterate(seq, limit)) {
          const checked = readRow(row);
          if (!checked.ok) skip?.(describeUnsendable(row, checked.text));
          else if (!visit({ seq: Number(row['ingest_seq']), entry: checked.entry })) break;
        }
      });
    },
    readUnsendable(visit) {
      database.read(() => {
        for (const row of statements.suspicious.iterate()) {
          const checked = readRow(row);
          if (!checked.ok && !visit(describeUnsendable(row, checked.text))) break;
        }
      });
    },
    readDeletionsAfter(seq, limit, visit) {
      deletions.complete();
      deletions.readAfter(seq, limit, visit);
    },
    unsendableDeletions: deletions.unsendable,
    startOfLast: (count) =>
      database.read(() => Number(statements.startOfLast.get(count)?.['ingest_seq'] ?? 0)),
    summary: () => database.read(() => statements.summary.get() as ReturnType<Store['summary']>),
    cursorsOf: peers.of,
    positionOf: peers.position,
    cursors: peers.all,
    highestStored: sequences.highestStored,
    isNeverStored: sequences.isNeverStored,
    noteSent: sequences.noteSent,
    raiseSequences: sequences.raise,
    acknowledge: peers.acknowledge,
    resetCursors: peers.reset,
    noteHighRequest: highRequests.add,
    highRequestsSince: highRequests.since,
    pullState: peers.state,
    setPullState: peers.setState,
    isRevoked: (peerId) => database.read(() => statements.isRevoked.get(peerId) !== undefined),
  };
}

/** A row as an entry, unless it cannot be sent. */
function toEntry(row: Readonly<Record<string, unknown>> | undefined): Entry | undefined {
  const checked = row === undefined ? undefined : readRow(row);
  return checked?.ok === true ? checked.entry : undefined;
}

function describeUnsendable(row: Readonly<Record<string, unknown>>, text: string): UnsendableEntry {
  const id = row['entry_id'];
  return { seq: Number(row['ingest_seq']), entryId: typeof id === 'string' ? id : undefined, text };
}
