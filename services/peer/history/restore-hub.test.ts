// Restores where files are not what they seem: behind symbolic links, still open elsewhere, or of another user.
import { lstatSync, readdirSync, readlinkSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, openStore } from '../../../testing/peer.ts';
import { backUpDatabase } from './backup.ts';
import { readBackupFile } from './backup-content.ts';
import { ensureDatabaseId } from './database-id.ts';
import { claimForUser } from './hub-user.ts';
import { restoreDatabase } from './restore.ts';

let directory: string;
let path: string;
let backup: string;

beforeEach(async () => {
  directory = makeDirectory();
  path = join(directory, 'history.db');
  backup = join(directory, 'backup.db');
  const { database, store } = open();
  ensureDatabaseId(database);
  store.insert(makeEntries(3));
  await backUpDatabase(path, backup);
  store.insert(makeEntries(2, 'late'));
  database.close();
});
afterEach(cleanUp);

const open = (file = path) => openStore(file);

function entriesOf(file: string): number {
  const { database, store } = open(file);
  const { entries } = store.summary();
  database.close();
  return entries;
}

const restore = async (target = path, file = backup) =>
  restoreDatabase(target, readBackupFile(file, target), { name: file, nowUnixMs: Date.now });

describe('a path that is a symbolic link', () => {
  let disk: string;
  let link: string;

  beforeEach(() => {
    disk = makeDirectory();
    link = join(directory, 'link.db');
  });

  test('stays one, and the database stays on its disk', async () => {
    renameSync(path, join(disk, 'real.db'));
    symlinkSync(join(disk, 'real.db'), link);
    const { kept } = await restore(link);
    expect(readlinkSync(link)).toBe(join(disk, 'real.db'));
    expect(entriesOf(link)).toBe(3);
    expect(kept).toMatch(/real\.db\.replaced-/);
    expect(entriesOf(String(kept))).toBe(5);
  });

  test('and leads to no file yet is used', async () => {
    symlinkSync(join(disk, 'new.db'), link);
    expect((await restore(link)).kept).toBeUndefined();
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(entriesOf(join(disk, 'new.db'))).toBe(3);
  });

  test('of a database in use leads to its log, too', async () => {
    renameSync(path, join(disk, 'real.db'));
    symlinkSync(join(disk, 'real.db'), link);
    const { database } = open(link);
    renameSync(join(disk, 'real.db-wal'), join(disk, 'elsewhere'));
    expect(() => database.check()).toThrow(/real\.db-wal was deleted while it was in use/);
  });

  test('of a backup is followed', async () => {
    symlinkSync(join(disk, 'latest.db'), link);
    await backUpDatabase(path, link);
    expect(readdirSync(disk)).toEqual(['latest.db']);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    await expect(backUpDatabase(path, link)).rejects.toThrow(/latest\.db exists/);
    await backUpDatabase(path, link, { isForced: true });
    expect(entriesOf(join(disk, 'latest.db'))).toBe(5);
  });
});

test('a program that goes on with the old file, and compares nothing, does not damage the new one', async () => {
  const old = new DatabaseSync(path);
  onCleanup(() => old.close());
  old.exec('PRAGMA journal_mode = WAL; CREATE TABLE old(content)');
  await restore();
  const { database, store } = open();
  store.insert(makeEntries(200, 'new'));
  // With the same log this would overwrite what the new database has in it.
  const insert = old.prepare('INSERT INTO old VALUES (zeroblob(4000))');
  for (let count = 0; count < 100; count += 1) insert.run();
  const other = open();
  expect(other.store.summary().entries).toBe(203);
  expect(other.database.sqlite.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  database.close();
});

/** Starts a hub with a database, as far as its user is concerned. */
function start(userId: string, file = path): object {
  const { database } = open(file);
  const claimed = claimForUser(database, userId);
  database.close();
  return claimed;
}

const makeEntriesOf = (userId: string, prefix: string) =>
  makeEntries(1, prefix).map((entry) => Object.assign(entry, { user_id: userId }));

describe('the history of another user', () => {
  const OF_ADA = { ok: false, reason: 'other_user', otherUser: 'ada' };

  test('is not restored for a hub', async () => {
    const bob = join(directory, 'bob.db');
    ensureDatabaseId(open(bob).database);
    expect(start('bob', bob)).toEqual({ ok: true });
    await expect(restore(bob)).rejects.toMatchObject({
      code: 'BACKUP_UNUSABLE',
      message: expect.stringMatching(
        /history of user "ada", and the hub is that of user "bob".* Nothing was changed/,
      ),
    });
    expect(entriesOf(bob)).toBe(0);
  });

  test('is not served by a hub, whichever way it got there', async () => {
    expect(start('bob')).toEqual(OF_ADA);
    expect(start('ada')).toEqual({ ok: true });
    const { database, store } = open();
    store.insert(makeEntriesOf('bob', 'pulled'));
    database.close();
    expect(start('bob')).toEqual(OF_ADA);
    // The user is in a backup, and stays in what is restored.
    await backUpDatabase(path, backup, { isForced: true });
    await restore(join(directory, 'empty.db'));
    expect(start('bob', join(directory, 'empty.db'))).toEqual(OF_ADA);
    expect(start('ada', join(directory, 'empty.db'))).toEqual({ ok: true });
  });

  test('is not what an empty database has, nor one in which the user has entries', async () => {
    const file = join(directory, 'new.db');
    expect(start('mistyped', file)).toEqual({ ok: true });
    expect(start('ada', file)).toEqual({ ok: true });
    const mixed = join(directory, 'mixed.db');
    const { database, store } = open(mixed);
    store.insert([...makeEntriesOf('login', 'desktop'), ...makeEntriesOf('ada', 'laptop')]);
    database.close();
    expect(start('ada', mixed)).toEqual({ ok: true });
  });
});
