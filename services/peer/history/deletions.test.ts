import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeEntries, readEntries } from '../../../testing/peer.ts';
import { createPeerBook } from '../discovery/peer-book.ts';
import { type Database, DatabaseError, openDatabase } from './database.ts';
import { type Deletion, readDeletion } from './deletion.ts';
import { MAX_LABEL_BYTES } from './entry-rules.ts';
import { createStore, type Store } from './store.ts';

let directory: string;
let path: string;
let database: Database;
let store: Store;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rustory-deletions-'));
  path = join(directory, 'history.db');
  reopen();
});

afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

function reopen(): void {
  database = openDatabase(path, () => 0);
  store = createStore(database);
}

/** A database that another program made before this peer opens it. */
function replaceDatabase(sql: string): void {
  database.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  const other = new DatabaseSync(path);
  other.exec(`PRAGMA journal_mode = WAL; ${sql}`);
  other.close();
}

const deletion = (id: string, deletedAt = 1_700_000_000, device = 'desktop'): Deletion => ({
  entry_id: id,
  user_id: 'ada',
  device_id: device,
  deleted_at: deletedAt,
});

function readDeletions(after = 0, limit = 1000): Array<Deletion & { seq: number }> {
  const found: Array<Deletion & { seq: number }> = [];
  store.readDeletionsAfter(after, limit, ({ seq, deletion: one }) => found.push({ seq, ...one }) > 0);
  return found;
}

const ids = (): string[] => readEntries(store).map(({ entry_id }) => entry_id);
const apply = (deletions: Deletion[]) => store.insertPage({ entries: [], deletions }, { peerId: 'p' });

const pushed = () =>
  database.sqlite
    .prepare(
      `SELECT last_pushed_seq AS seq, (SELECT last_pushed_delete_seq FROM peer_delete_push_state) AS deleteSeq
       FROM peer_push_state`,
    )
    .get();

describe('a deletion', () => {
  test('removes the entry, and the entry is never stored again', () => {
    store.insert(makeEntries(3));
    const page = { entries: makeEntries(4), deletions: [deletion('laptop-1'), deletion('laptop-3')] };
    expect(store.insertPage(page, { peerId: 'p', cursor: 9, deleteCursor: 2 })).toEqual({
      inserted: 0,
      duplicates: 4,
      deleted: 1,
      isMoved: true,
      newDeletions: 2,
      ignoredDeletions: 0,
    });
    expect(store.insert(makeEntries(4))).toEqual({ inserted: 0, duplicates: 4 });
    expect(ids()).toEqual(['laptop-0', 'laptop-2']);
    expect(store.cursorsOf('p')).toEqual({ cursor: 9, deleteCursor: 2 });
  });

  test('of an entry that was never here is kept and passed on', () => {
    apply([deletion('unknown')]);
    expect(readDeletions()).toEqual([{ seq: 1, ...deletion('unknown') }]);
  });

  test('is replaced only by a later one, which peers with the earlier one get', () => {
    apply([deletion('a', 100), deletion('b', 100)]);
    expect(apply([deletion('a', 100, 'other'), deletion('b', 99)])).toMatchObject({
      newDeletions: 0,
      ignoredDeletions: 2,
    });
    expect(store.highestStored()).toEqual({ cursor: 0, deleteCursor: 2 });
    apply([deletion('a', 101, 'other')]);
    expect(readDeletions(2)).toEqual([{ seq: 3, ...deletion('a', 101, 'other') }]);
    expect(readDeletions().map(({ entry_id }) => entry_id)).toEqual(['b', 'a']);
  });

  test('hides an entry that a program without deletions stored again in the same database', () => {
    store.insert(makeEntries(2));
    database.sqlite.exec(
      "INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at) VALUES ('laptop-0', '', '', 1)",
    );
    expect(ids()).toEqual(['laptop-1']);
    expect(store.findById('laptop-0')).toBeUndefined();
    expect(store.findByCommand(makeEntries(1)[0]?.cmd ?? '')).toEqual([]);
  });

  test('with a 64-bit time that rr stored does not prevent reading the others', () => {
    database.sqlite.exec(`INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at) VALUES
      ('max', 'ada', 'x', 9223372036854775807), ('min', 'ada', 'x', -9223372036854775808), ('b', 'ada', 'x', 5)`);
    expect(readDeletions().map(({ deleted_at }) => deleted_at)).toEqual([
      Number.MAX_SAFE_INTEGER,
      -Number.MAX_SAFE_INTEGER,
      5,
    ]);
    expect(apply([deletion('max', Number.MAX_SAFE_INTEGER)])).toMatchObject({ newDeletions: 0 });
  });

  test('leaves nothing of the command in the files of the database', () => {
    const secret = 'export TOKEN=hunter2-0123456789';
    store.insert(
      makeEntries(50).map((entry) => Object.assign(entry, { cmd: `${secret}-${entry.entry_id}` })),
    );
    store.deleteEntries(
      makeEntries(50).map(({ entry_id }) => entry_id),
      { user_id: 'ada', device_id: 'laptop', deleted_at: 1 },
    );
    for (const suffix of ['', '-wal']) expect(readFileSync(`${path}${suffix}`).includes(secret)).toBe(false);
  });

  test('is stored while another process reads', () => {
    store.insert(makeEntries(10));
    const reader = new DatabaseSync(path);
    const rows = reader.prepare('SELECT * FROM entries').iterate();
    rows.next();
    store.deleteEntries(['laptop-0'], { user_id: 'ada', device_id: 'laptop', deleted_at: 1 });
    expect(ids()).not.toContain('laptop-0');
    rows.return?.();
    reader.close();
    // Its content is removed from the log with the next page.
    apply([]);
    expect(statSync(`${path}-wal`).size).toBe(0);
  });
});

describe('deletions on the wire', () => {
  test('are kept when only their other fields are not valid', () => {
    const kept = [
      deletion('a'),
      { entry_id: 'b' },
      { ...deletion('c'), user_id: 5, device_id: 'x'.repeat(MAX_LABEL_BYTES + 1), deleted_at: '7' },
      { ...deletion('d'), deleted_at: 1e300, extra: true },
      { ...deletion('e'), deleted_at: -1e300 },
      { ...deletion('f'), deleted_at: 1.5 },
    ].flatMap((value) => readDeletion(value) ?? []);
    expect(kept).toEqual([
      deletion('a'),
      { entry_id: 'b', user_id: '', device_id: '', deleted_at: 0 },
      { entry_id: 'c', user_id: '', device_id: '', deleted_at: 0 },
      deletion('d', Number.MAX_SAFE_INTEGER),
      deletion('e', -Number.MAX_SAFE_INTEGER),
      deletion('f', 1),
    ]);
    expect(apply(kept)).toMatchObject({ newDeletions: 6 });
  });

  test.each([
    ['null', null],
    ['a text', 'a'],
    ['no id', { ...deletion('a'), entry_id: undefined }],
    ['an empty id', deletion('')],
    ['an id that is too long', deletion('x'.repeat(MAX_LABEL_BYTES + 1))],
    ['half a surrogate pair', deletion('\ud800')],
  ])('with %s are not valid', (_, bad) => {
    expect(readDeletion(bad)).toBeUndefined();
  });
});

describe('the cursors of a peer', () => {
  test('move with their page, and not when another process has moved one of them', () => {
    const page = { entries: [], deletions: [] };
    store.insertPage(page, { peerId: 'p', cursor: 5, deleteCursor: 7, entryId: 'a' });
    const read = store.positionOf('p');
    expect(read).toEqual({ cursor: 5, deleteCursor: 7, entryId: 'a' });
    expect(store.insertPage(page, { peerId: 'p', deleteCursor: 8, read })).toMatchObject({ isMoved: true });
    for (const entryId of [undefined, 'b'])
      expect(store.insertPage(page, { peerId: 'p', cursor: 9, entryId, read })).toMatchObject({
        isMoved: false,
      });
    expect(store.resetCursors('p', read)).toBe(false);
    expect(store.positionOf('p')).toEqual({ cursor: 5, deleteCursor: 8, entryId: 'a' });
    store.insertPage(page, { peerId: 'q', deleteCursor: 1 });
    expect(store.cursors()).toEqual([
      { peerId: 'p', cursor: 5, deleteCursor: 8 },
      { peerId: 'q', cursor: 0, deleteCursor: 1 },
    ]);
  });

  test('have no entry when rr has moved them in the same database', () => {
    store.insertPage({ entries: [], deletions: [] }, { peerId: 'p', cursor: 5, entryId: 'a' });
    database.sqlite.exec("UPDATE peer_state SET last_cursor = 9 WHERE peer_id = 'p'");
    expect(store.positionOf('p')).toEqual({ cursor: 9, deleteCursor: 0, entryId: undefined });
  });

  test('acknowledge what was ever stored here, also when it is deleted, and nothing above it', () => {
    store.insert(makeEntries(3));
    store.deleteEntries(['laptop-2'], { user_id: 'ada', device_id: 'laptop', deleted_at: 1 });
    expect(store.highestStored()).toEqual({ cursor: 3, deleteCursor: 1 });
    store.acknowledge('p', { cursor: 0, deleteCursor: 0 });
    expect(pushed()).toBeUndefined();
    store.acknowledge('p', { cursor: 3, deleteCursor: 1 });
    store.acknowledge('p', { cursor: 4, deleteCursor: 2 });
    store.acknowledge('p', { cursor: 1, deleteCursor: undefined });
    expect(pushed()).toEqual({ seq: 3, deleteSeq: 1 });
  });

  test('of all four kinds become 0 when its database is new', () => {
    store.insert(makeEntries(3));
    store.insertPage(
      { entries: [], deletions: [deletion('x')] },
      { peerId: 'p', cursor: 5, deleteCursor: 7 },
    );
    store.acknowledge('p', { cursor: 3, deleteCursor: 1 });
    store.resetCursors('p');
    expect(store.positionOf('p')).toEqual({ cursor: 0, deleteCursor: 0, entryId: undefined });
    expect(pushed()).toEqual({ seq: 0, deleteSeq: 0 });
  });

  test('are kept with the state of the pull when the program restarts', () => {
    expect(store.pullState('p')).toEqual({ startsWithProbe: false, unansweredUnixSeconds: [] });
    store.setPullState('p', { startsWithProbe: true, unansweredUnixSeconds: [5, 6] });
    database.close();
    reopen();
    expect(store.pullState('p')).toEqual({ startsWithProbe: true, unansweredUnixSeconds: [5, 6] });
    database.sqlite.exec("UPDATE rustory_p2p_pull_state SET state_json = '[nonsense'");
    expect(store.pullState('p')).toEqual({ startsWithProbe: false, unansweredUnixSeconds: [] });
  });
});

const peer = (peerId: string) => ({
  peerId,
  addresses: [],
  userId: 'ada',
  deviceId: undefined,
  hostname: undefined,
  lastSeenUnixSeconds: 100,
});

describe('a database of another program', () => {
  const OF_RR_0_1 = `CREATE TABLE entries (ingest_seq INTEGER PRIMARY KEY AUTOINCREMENT, entry_id TEXT NOT NULL UNIQUE,
      device_id TEXT NOT NULL, user_id TEXT NOT NULL, ts INTEGER NOT NULL, cmd TEXT NOT NULL, cwd TEXT NOT NULL,
      exit_code INTEGER NOT NULL, duration_ms INTEGER NOT NULL, shell TEXT NOT NULL, hostname TEXT NOT NULL,
      version TEXT NOT NULL);
    CREATE TABLE peer_state (peer_id TEXT PRIMARY KEY, last_cursor INTEGER NOT NULL);
    CREATE TABLE peer_book (peer_id TEXT PRIMARY KEY, addrs_json TEXT NOT NULL, user_id TEXT, device_id TEXT,
      last_seen INTEGER NOT NULL);
    INSERT INTO peer_state VALUES ('p', 41);
    INSERT INTO peer_book VALUES ('p', '[]', 'ada', 'laptop', 100);`;

  test('of rr 0.1 gets the missing tables and keeps its content', () => {
    replaceDatabase(OF_RR_0_1);
    reopen();
    expect(store.cursorsOf('p')).toEqual({ cursor: 41, deleteCursor: 0 });
    expect(database.sqlite.prepare('SELECT rr_version, last_seen FROM peer_book').get()).toEqual({
      rr_version: null,
      last_seen: 100,
    });
    apply([deletion('a')]);
    expect(readDeletions()).toHaveLength(1);
  });

  test('whose table has other columns is not changed, and the error names them', () => {
    replaceDatabase('CREATE TABLE entry_deletions (id TEXT PRIMARY KEY);');
    expect(() => openDatabase(path, () => 0)).toThrow(DatabaseError);
    expect(() => openDatabase(path, () => 0)).toThrow(
      /its table entry_deletions has no column delete_seq.*newer or another program; nothing was lost/,
    );
    const other = new DatabaseSync(path);
    expect(other.prepare('SELECT name FROM sqlite_schema WHERE type = ?').all('table')).toHaveLength(1);
    other.exec('DROP TABLE entry_deletions');
    other.close();
    reopen();
  });

  test('with a revoked peer: it is known as revoked and neither written to the peer book nor read from it', () => {
    const book = createPeerBook(database);
    book.remember([peer('removed')]);
    database.sqlite.exec(
      "INSERT INTO peer_revocations(peer_id, revoked_at, ticket_id) VALUES ('removed', 1, 't'), ('never', 1, 't')",
    );
    book.remember([{ ...peer('removed'), lastSeenUnixSeconds: 200 }, peer('never'), peer('other')]);
    expect(book.recall('ada', 0, 10)).toEqual([peer('other')]);
    expect([store.isRevoked('removed'), store.isRevoked('other')]).toEqual([true, false]);
  });
});
