import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, openStore, readEntries } from '../../../testing/peer.ts';
import { backUpDatabase } from './backup.ts';
import { readBackupFile } from './backup-content.ts';
import { DatabaseError } from './database.ts';
import { ensureDatabaseId, readDatabaseId } from './database-id.ts';
import { restoreDatabase, type RestoreReport } from './restore.ts';

const NOW_UNIX_MS = Date.UTC(2026, 10, 28, 10, 30);

let directory: string;
let path: string;
let backup: string;

/** A database with a backup of its first 3 entries, and 2 later ones. */
beforeEach(async () => {
  directory = makeDirectory();
  path = join(directory, 'data', 'history.db');
  backup = join(directory, 'backup.db');
  const { database, store } = open();
  store.insert(makeEntries(3, 'early'));
  await backUpDatabase(path, backup);
  store.insert(makeEntries(2, 'late'));
  database.close();
});
afterEach(cleanUp);

const open = (file = path) => openStore(file);

const idsOf = (file = path): string[] => {
  const { database, store } = open(file);
  const ids = readEntries(store).map(({ entry_id: id }) => id);
  database.close();
  return ids;
};

const EARLY = ['early-0', 'early-1', 'early-2'];
const ALL = [...EARLY, 'late-0', 'late-1'];

async function restore(file = backup): Promise<RestoreReport> {
  return restoreDatabase(path, readBackupFile(file, path), { name: file, nowUnixMs: () => NOW_UNIX_MS });
}

const temporaryFiles = (): string[] =>
  readdirSync(join(directory, 'data')).filter((name) => name.endsWith('.tmp'));

test('replaces the database, and keeps the old one beside it', async () => {
  const report = await restore();
  expect(report).toEqual({
    entries: 3,
    deletions: 0,
    bytes: statSync(path).size,
    kept: `${path}.replaced-20261128T103000Z`,
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(idsOf()).toEqual(EARLY);
  expect(idsOf(report.kept)).toEqual(ALL);
  const again = await restore(report.kept);
  expect(again.kept).toBe(`${path}.replaced-20261128T103000Z-2`);
  expect(idsOf()).toEqual(ALL);
  expect(temporaryFiles()).toEqual([]);
});

test('keeps what was only in the log of the old database', async () => {
  // The copy of a database in use is what a killed process leaves.
  const { database, store } = open();
  ensureDatabaseId(database);
  store.insert(makeEntries(2, 'logged'));
  for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, join(directory, `killed.db${suffix}`));
  database.close();
  for (const suffix of ['', '-wal']) renameSync(join(directory, `killed.db${suffix}`), `${path}${suffix}`);
  const { kept } = await restore();
  expect(idsOf(kept)).toEqual([...ALL, 'logged-0', 'logged-1']);
  expect(idsOf()).toEqual(EARLY);
});

describe('the restored database', () => {
  test('has another id each time', async () => {
    const { database } = open();
    const ids = new Set([ensureDatabaseId(database)]);
    database.close();
    for (let count = 0; count < 2; count += 1) {
      await restore();
      const restored = open();
      ids.add(String(readDatabaseId(restored.database)));
      restored.database.close();
    }
    expect(ids.size).toBe(3);
  });

  test('assigns numbers above all of the old one', async () => {
    const old = open();
    const highest = old.store.highestStored().cursor;
    old.database.close();
    await restore();
    const { store } = open();
    store.insert(makeEntries(1, 'new'));
    store.deleteEntries(['early-0'], { user_id: 'ada', device_id: 'laptop', deleted_at: 1 });
    expect(store.highestStored().cursor).toBeGreaterThan(highest + 1_000);
    expect(store.highestStored().deleteCursor).toBeGreaterThanOrEqual(NOW_UNIX_MS * 1_000);
  });

  test('starts the next sync with each peer with a probe, and has no signs of an older copy', async () => {
    const { database, store } = open();
    store.insertPage({ entries: [], deletions: [] }, { peerId: 'peer', cursor: 5 });
    store.noteHighRequest({ peerId: 'peer', cursor: 9, deleteCursor: 0, seenUnixSeconds: 100 });
    database.close();
    await backUpDatabase(path, backup, { isForced: true });
    await restore();
    const restored = open().store;
    expect(restored.cursorsOf('peer').cursor).toBe(5);
    expect(restored.pullState('peer')).toEqual({ startsWithProbe: true, unansweredUnixSeconds: [] });
    expect(restored.highRequestsSince(0)).toEqual([]);
  });

  test('does not admit a device again that was removed after the backup', async () => {
    const { database } = open();
    database.sqlite.exec("INSERT INTO peer_revocations(peer_id, revoked_at) VALUES ('stolen', 100)");
    database.close();
    await restore();
    expect(open().store.isRevoked('stolen')).toBe(true);
  });
});

describe('without a usable old database', () => {
  test('creates the database', async () => {
    rmSync(join(directory, 'data'), { recursive: true });
    expect((await restore()).kept).toBeUndefined();
    expect(idsOf()).toEqual(EARLY);
  });

  test('never combines the new file with a log that was left', async () => {
    const { database, store } = open();
    store.insert(makeEntries(500, 'stale'));
    const log = readFileSync(`${path}-wal`);
    database.close();
    rmSync(path);
    writeFileSync(`${path}-wal`, log);
    writeFileSync(`${path}-shm`, Buffer.alloc(32_768, 1));
    await restore();
    expect(idsOf()).toEqual(EARLY);
    expect(existsSync(`${path}.replaced-20261128T103000Z-wal`)).toBe(true);
  });

  test('replaces a file that is no database', async () => {
    writeFileSync(path, 'damaged '.repeat(10_000));
    const { kept } = await restore();
    expect(idsOf()).toEqual(EARLY);
    expect(readFileSync(String(kept), 'utf8')).toMatch(/^damaged/);
  });
});

describe('a database that is in use', () => {
  test('of a hub is replaced, and the hub stores nothing more', async () => {
    const { database, store } = open();
    ensureDatabaseId(database);
    store.insert(makeEntries(1, 'hub'));
    const { kept } = await restore();
    expect(() => store.insert(makeEntries(1, 'lost'))).toThrow(/(replaced|deleted) while it was in use/);
    expect(() => database.check()).toThrow(DatabaseError);
    const next = open();
    next.store.insert(makeEntries(500, 'new'));
    database.close();
    next.store.insert(makeEntries(1, 'newer'));
    next.database.close();
    expect(idsOf()).toHaveLength(504);
    expect(idsOf(kept)).toEqual([...ALL, 'hub-0']);
    expect(new DatabaseSync(path).prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  });

  test('of a hub may be smaller: other processes do not read its size in what it has open', async () => {
    const large = join(directory, 'large.db');
    const source = open(large);
    source.store.insert(makeEntries(3_000, 'desktop', 200));
    source.database.close();
    const { database, store } = open();
    ensureDatabaseId(database);
    store.insert(makeEntries(1, 'hub'));
    await restore(large);
    // The old one is still open.
    const next = open();
    expect(readEntries(next.store)).toHaveLength(3_000);
    next.store.insert(makeEntries(3_000, 'new', 200));
    expect(next.database.sqlite.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  });

  test('of another device is not replaced, because rr would not notice', async () => {
    const { store } = open();
    await expect(restore()).rejects.toMatchObject({
      code: 'DATABASE_UNUSABLE',
      message: expect.stringMatching(/another process uses the database\. Nothing was changed/),
      advice: expect.stringContaining('Stop rustory-peer and rr'),
    });
    store.insert(makeEntries(1, 'after'));
    expect(idsOf()).toEqual([...ALL, 'after-0']);
    expect(temporaryFiles()).toEqual([]);
  });

  test('of another device is not replaced either when it was restored before', async () => {
    const [laptop, copy] = [join(directory, 'laptop.db'), join(directory, 'copy.db')];
    const restoreLaptop = async () =>
      restoreDatabase(laptop, readBackupFile(copy, laptop), { name: copy, nowUnixMs: () => NOW_UNIX_MS });
    const before = open(laptop);
    before.store.insert(makeEntries(1, 'early'));
    await backUpDatabase(laptop, copy);
    before.database.close();
    await restoreLaptop();
    const { database, store } = open(laptop);
    await expect(restoreLaptop()).rejects.toThrow(/another process uses the database/);
    expect(readDatabaseId(database)).toBeUndefined();
    store.insert(makeEntries(1, 'after'));
    expect(idsOf(laptop)).toEqual(['early-0', 'after-0']);
  });
});

describe('is refused, and changes nothing, when the content', () => {
  const REFUSED: ReadonlyArray<[what: string, make: (file: string) => void, message: RegExp]> = [
    ['is no database', (file) => writeFileSync(file, 'gzip? '.repeat(500)), /is not a SQLite database/],
    ['is empty', (file) => writeFileSync(file, ''), /is not a SQLite database/],
    [
      'was cut off',
      (file) => writeFileSync(file, readFileSync(backup).subarray(0, -4096)),
      /has \d+ bytes, but the database in it has \d+/,
    ],
    [
      'is damaged',
      (file) => {
        const bytes = readFileSync(backup);
        writeFileSync(file, bytes.fill(0xff, 2 * 4096, 3 * 4096));
      },
      /is damaged/,
    ],
    [
      'is a database of another program',
      (file) => new DatabaseSync(file).exec('CREATE TABLE notes(text)'),
      /has no table "entries"/,
    ],
    [
      'has a schema of a newer program',
      (file) => {
        copyFileSync(backup, file);
        const sqlite = new DatabaseSync(file);
        sqlite.exec('ALTER TABLE entries RENAME COLUMN cmd TO command');
        sqlite.close();
      },
      /has no column cmd, so that it was written by a newer or another program/,
    ],
    [
      'has a log with later changes',
      (file) => {
        copyFileSync(backup, file);
        writeFileSync(`${file}-wal`, 'log');
      },
      /the file alone is not complete/,
    ],
    ['does not exist', () => {}, /does not exist/],
  ];

  test.each(REFUSED)('%s', async (_, make, message) => {
    const file = join(directory, 'given.db');
    make(file);
    await expect((async () => restore(file))()).rejects.toThrow(message);
    expect(temporaryFiles()).toEqual([]);
    expect(readdirSync(join(directory, 'data'))).toEqual(['history.db']);
    expect(idsOf()).toEqual(ALL);
  });

  test('is the database itself', async () => {
    await expect((async () => restore(path))()).rejects.toThrow(/is the database itself/);
  });
});
