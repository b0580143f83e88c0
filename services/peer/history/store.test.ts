import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Database, DatabaseError, openDatabase } from './database.ts';
import type { Entry } from './entry.ts';
import { createPeerBook, type KnownPeer } from '../discovery/peer-book.ts';
import { createStore, type Store } from './store.ts';

let directory: string;
let path: string;
const opened: Database[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rustory-store-'));
  path = join(directory, 'sub', 'history.db');
});

afterEach(() => {
  for (const database of opened.splice(0)) database.close();
  rmSync(directory, { recursive: true, force: true });
});

function open(): Database {
  const database = openDatabase(path, () => 0);
  opened.push(database);
  return database;
}

function makeEntries(count: number, prefix = 'id'): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    entry_id: `${prefix}-${position}`,
    device_id: 'laptop',
    user_id: 'ada',
    ts: 1_700_000_000 + position,
    cmd: `echo ${position}`,
    cwd: '/tmp',
    exit_code: 0,
    duration_ms: 5,
    shell: 'bash',
    hostname: 'laptop.lan',
    version: '0.1.0',
  }));
}

const peer = (peerId: string, lastSeenUnixSeconds: number, more: Partial<KnownPeer> = {}): KnownPeer => ({
  peerId,
  addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${peerId}`],
  userId: 'ada',
  deviceId: 'laptop',
  hostname: undefined,
  lastSeenUnixSeconds,
  ...more,
});

function readAll(store: Store, after = 0, limit = 1_000_000): Entry[] {
  const entries: Entry[] = [];
  store.readAfter(after, limit, ({ entry }) => entries.push(entry) > 0);
  return entries;
}

describe('the store', () => {
  test('returns entries unchanged and in the order of arrival', () => {
    const store = createStore(open());
    const entries = makeEntries(3).map((entry) => Object.assign(entry, { cmd: `${entry.cmd}\nä\0€` }));
    expect(store.insert(entries)).toEqual({ inserted: 3, duplicates: 0 });
    expect(readAll(store)).toEqual(entries);
    expect(store.summary()).toMatchObject({ entries: 3, devices: 1, lastSeq: 3 });
  });

  test('stores an entry once', () => {
    const store = createStore(open());
    store.insert(makeEntries(3));
    expect(store.insert(makeEntries(5))).toEqual({ inserted: 2, duplicates: 3 });
    expect(store.summary().entries).toBe(5);
  });

  test('reads pages by cursor and stops when the visitor returns false', () => {
    const store = createStore(open());
    store.insert(makeEntries(10));
    expect(readAll(store, 4, 3).map(({ entry_id }) => entry_id)).toEqual(['id-4', 'id-5', 'id-6']);
    const seen: number[] = [];
    store.readAfter(0, 10, ({ seq }) => seen.push(seq) < 2);
    expect(seen).toEqual([1, 2]);
  });

  test('holds no transaction open when the visitor stops early, so that the log can be checkpointed', () => {
    const store = createStore(open());
    store.insert(makeEntries(100));
    store.readAfter(0, 100, ({ seq }) => seq < 3);
    const checkpoint = open().sqlite.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    expect(checkpoint).toMatchObject({ busy: 0 });
    expect(statSync(`${path}-wal`).size).toBe(0);
  });

  test('moves a cursor only together with its batch', () => {
    const store = createStore(open());
    const [first] = makeEntries(1);
    const broken = { ...first, entry_id: 'bad', cmd: null } as unknown as Entry;
    expect(() =>
      store.insertPage({ entries: [...makeEntries(2), broken], deletions: [] }, { peerId: 'p', cursor: 7 }),
    ).toThrow(DatabaseError);
    expect(store.cursorsOf('p').cursor).toBe(0);
    expect(store.summary().entries).toBe(0);
    store.insertPage({ entries: makeEntries(2), deletions: [] }, { peerId: 'p', cursor: 7 });
    expect(store.cursorsOf('p').cursor).toBe(7);
    expect(store.cursors()).toEqual([{ peerId: 'p', cursor: 7, deleteCursor: 0 }]);
  });

  test('can be opened twice', () => {
    const [a, b] = [createStore(open()), createStore(open())];
    a.insert(makeEntries(2, 'a'));
    b.insert(makeEntries(2, 'b'));
    expect(a.summary().entries).toBe(4);
  });

  test('does not store entries again that a newer rr deleted', () => {
    open().sqlite.exec(`INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at)
      VALUES ('id-1', 'ada', 'laptop', 1)`);
    const store = createStore(open());
    expect(store.insert(makeEntries(3))).toEqual({ inserted: 2, duplicates: 1 });
    expect(readAll(store).map(({ entry_id }) => entry_id)).toEqual(['id-0', 'id-2']);
  });

  test('works with the database of a newer rr and keeps its additional columns and tables', () => {
    mkdirSync(dirname(path));
    const rr = new DatabaseSync(path);
    rr.exec(`PRAGMA journal_mode = WAL;
      CREATE TABLE entries (ingest_seq INTEGER PRIMARY KEY AUTOINCREMENT, entry_id TEXT NOT NULL UNIQUE,
        device_id TEXT NOT NULL, user_id TEXT NOT NULL, ts INTEGER NOT NULL, cmd TEXT NOT NULL, cwd TEXT NOT NULL,
        exit_code INTEGER NOT NULL, duration_ms INTEGER NOT NULL, shell TEXT NOT NULL, hostname TEXT NOT NULL,
        version TEXT NOT NULL);
      CREATE TABLE peer_state (peer_id TEXT PRIMARY KEY, last_cursor INTEGER NOT NULL);
      CREATE TABLE peer_push_state (peer_id TEXT PRIMARY KEY, last_pushed_seq INTEGER NOT NULL);
      CREATE TABLE peer_book (peer_id TEXT PRIMARY KEY, addrs_json TEXT NOT NULL, user_id TEXT, device_id TEXT,
        rr_version TEXT, last_seen INTEGER NOT NULL);
      CREATE TABLE entry_deletions (delete_seq INTEGER PRIMARY KEY AUTOINCREMENT, entry_id TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL, device_id TEXT NOT NULL, deleted_at INTEGER NOT NULL);
      CREATE INDEX idx_entries_ts ON entries(ts);
      CREATE INDEX idx_entry_deletions_device_seq ON entry_deletions(device_id, delete_seq);
      CREATE TABLE peer_revocations (peer_id TEXT PRIMARY KEY, revoked_at INTEGER NOT NULL, ticket_id TEXT NOT NULL);
      INSERT INTO entries(entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
        VALUES ('of-rr', 'laptop', 'ada', 1700000000, 'ls', '/', 0, 1, 'zsh', 'laptop.lan', '0.9.0');
      INSERT INTO peer_state VALUES ('p', 41);
      INSERT INTO peer_push_state VALUES ('p', 7);
      INSERT INTO peer_book VALUES ('p', '["/ip4/10.0.0.1/tcp/1"]', 'ada', 'laptop', '0.9.0', 100);`);
    const schema = (): unknown[] =>
      rr.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
    const before = schema();
    const database = open();
    const [store, book] = [createStore(database), createPeerBook(database)];
    expect(
      store.insertPage({ entries: makeEntries(2), deletions: [] }, { peerId: 'p', cursor: 43 }).inserted,
    ).toBe(2);
    expect(readAll(store)[0]).toMatchObject({ entry_id: 'of-rr', cmd: 'ls' });
    book.remember([peer('p', 200)]);
    expect(schema()).toEqual(expect.arrayContaining(before));
    expect(rr.prepare('SELECT rr_version, last_seen FROM peer_book').get()).toEqual({
      rr_version: '0.9.0',
      last_seen: 200,
    });
    expect(rr.prepare('SELECT last_cursor FROM peer_state').get()).toEqual({ last_cursor: 43 });
    // The open connection of rr still works, and its entries are visible here.
    rr.exec(`INSERT OR IGNORE INTO entries(entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell,
      hostname, version) VALUES ('of-rr-2', 'laptop', 'ada', 1700000001, 'pwd', '/', 0, 1, 'zsh', 'laptop.lan', '0.9.0')`);
    expect(readAll(store).at(-1)).toMatchObject({ entry_id: 'of-rr-2', cmd: 'pwd' });
    expect(rr.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    rr.close();
  });

  test('creates exactly the tables of rr, in WAL mode, with access for the owner only', () => {
    const { sqlite } = open();
    const columns = (table: string): unknown[] =>
      sqlite
        .prepare(`SELECT name, type, "notnull", pk FROM pragma_table_info('${table}')`)
        .all()
        .map((row) => Object.assign({}, row));
    expect(columns('peer_state')).toEqual([
      { name: 'peer_id', type: 'TEXT', notnull: 0, pk: 1 },
      { name: 'last_cursor', type: 'INTEGER', notnull: 1, pk: 0 },
    ]);
    expect(columns('peer_book')).toHaveLength(6);
    expect(columns('entries')).toHaveLength(12);
    expect(sqlite.prepare('PRAGMA journal_mode').get()?.['journal_mode']).toBe('wal');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});

describe('a DatabaseError', () => {
  test('reports that another process has locked the database, and nothing is lost', () => {
    const database = open();
    const store = createStore(database);
    store.insert(makeEntries(1));
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    database.sqlite.exec('PRAGMA busy_timeout = 1');
    expect(() => store.insert(makeEntries(2, 'b'))).toThrow(/locked it; nothing was lost/);
    other.exec('ROLLBACK');
    other.close();
    expect(store.insert(makeEntries(2, 'b')).inserted).toBe(2);
  });

  test('reports that the disk is full, and the stored entries are kept', () => {
    const database = open();
    const store = createStore(database);
    store.insert(makeEntries(10));
    database.sqlite.exec('PRAGMA max_page_count = 1');
    const many = makeEntries(10_000, 'many');
    expect(() => store.insertPage({ entries: many, deletions: [] }, { peerId: 'p', cursor: 5 })).toThrow(
      /disk is full; nothing was lost/,
    );
    database.sqlite.exec('PRAGMA max_page_count = 1073741823');
    expect(store.summary().entries).toBe(10);
    expect(store.cursorsOf('p').cursor).toBe(0);
    expect(database.sqlite.prepare('PRAGMA integrity_check').get()?.['integrity_check']).toBe('ok');
  });

  test('reports that the database is read-only', () => {
    const database = open();
    const store = createStore(database);
    database.sqlite.exec('PRAGMA query_only = 1');
    expect(() => store.insert(makeEntries(1))).toThrow(/read-only/);
  });

  test('leaves the permissions of the owner as they are and removes those of others', () => {
    open();
    chmodSync(path, 0o444);
    try {
      open();
    } catch (error) {
      // Root can write the file anyway.
      expect(error).toBeInstanceOf(DatabaseError);
    }
    expect(statSync(path).mode & 0o777).toBe(0o400);
  });

  test('reports that the file is not a database', () => {
    path = join(directory, 'letter.txt');
    writeFileSync(path, 'Dear Ada, '.repeat(500));
    expect(() => openDatabase(path, () => 0)).toThrow(/is not a SQLite database/);
  });

  test('reports that the directory cannot be created', () => {
    writeFileSync(join(directory, 'sub'), '');
    expect(() => openDatabase(path, () => 0)).toThrow(DatabaseError);
  });
});

describe('the peer book', () => {
  test('returns the peers of one user that were seen recently, the latest first', () => {
    const book = createPeerBook(open());
    book.remember([peer('a', 100), peer('b', 200), peer('old', 10), peer('other', 200, { userId: 'bob' })]);
    expect(book.recall('ada', 50, 10)).toEqual([peer('b', 200), peer('a', 100)]);
    expect(book.recall('ada', 0, 1)).toEqual([peer('b', 200)]);
  });

  test('keeps the newer of two records', () => {
    const book = createPeerBook(open());
    book.remember([peer('a', 200)]);
    book.remember([peer('a', 100, { addresses: [] })]);
    expect(book.recall('ada', 0, 10)).toEqual([peer('a', 200)]);
  });

  test('ignores addresses that cannot be read', () => {
    const database = open();
    const book = createPeerBook(database);
    book.remember([peer('a', 200), peer('b', 100)]);
    database.sqlite.exec(`UPDATE peer_book SET addrs_json = 'nonsense' WHERE peer_id = 'a'`);
    database.sqlite.exec(`UPDATE peer_book SET addrs_json = '[1, "/ip4/1.2.3.4/tcp/1"]' WHERE peer_id = 'b'`);
    expect(book.recall('ada', 0, 10).map(({ addresses }) => addresses)).toEqual([[], ['/ip4/1.2.3.4/tcp/1']]);
  });

  test('keeps the circuit of a long list that another program wrote', () => {
    const database = open();
    const book = createPeerBook(database);
    book.remember([peer('a', 200)]);
    const direct = Array.from({ length: 40 }, (_, port) => `/ip4/1.2.3.4/tcp/${port + 1}`);
    const circuit = '/dns4/relay.example/tcp/4001/p2p/r/p2p-circuit/p2p/a';
    database.sqlite.prepare('UPDATE peer_book SET addrs_json = ?').run(JSON.stringify([...direct, circuit]));
    const [known] = book.recall('ada', 0, 10);
    expect(known?.addresses).toEqual([circuit, ...direct.slice(0, 31)]);
  });
});
