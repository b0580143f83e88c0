// A restore that is killed between any two steps leaves the old database or the new one, and both can be used.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { ROOT } from '../../../testing/groups.ts';
import { backUpDatabase } from './backup.ts';
import { readBackupFile } from './backup-content.ts';
import { type Database, openDatabase } from './database.ts';
import { ensureDatabaseId } from './database-id.ts';
import { restoreDatabase } from './restore.ts';
import { createStore } from './store.ts';

afterEach(cleanUp);

const PROGRAM = join(ROOT, 'testing/programs/restoring-database.ts');
const STEPS = ['keep', 'log', 'shared memory', 'rename', 'sync'];
const EARLY = 300;
const LATE = 200;

function restoreUntil(step: string, path: string, backup: string) {
  return spawnSync(process.execPath, [PROGRAM, path, backup, step], { encoding: 'utf8' });
}

const READER = `
const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
const sqlite = new DatabaseSync(process.argv[1]);
sqlite.exec('PRAGMA journal_mode = WAL');
console.log(JSON.stringify([
  Object.values(sqlite.prepare('PRAGMA integrity_check').get())[0],
  Object.values(sqlite.prepare('SELECT count(*) FROM entries').get())[0],
]));`;

/** Reads the database in a process of its own, which shares its log and memory with others through files only. */
function readElsewhere(path: string): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', '-e', READER, '--', path], {
    encoding: 'utf8',
  });
  return stderr === '' ? JSON.parse(stdout) : stderr;
}

/** Opens the database like a process that starts, writes to it, and counts its entries. */
function use(path: string): number {
  const database = openDatabase(path);
  try {
    const store = createStore(database);
    store.insert(makeEntries(1, 'probe'));
    store.deleteEntries(['probe-0'], { user_id: 'ada', device_id: 'probe', deleted_at: 1 });
    expect(database.sqlite.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    return store.summary().entries;
  } finally {
    database.close();
  }
}

async function prepare(): Promise<{ path: string; backup: string; hub: Database }> {
  const directory = makeDirectory();
  const path = join(directory, 'history.db');
  const backup = join(directory, 'backup.db');
  const hub = openDatabase(path);
  onCleanup(() => {
    if (hub.sqlite.isOpen) hub.close();
  });
  ensureDatabaseId(hub);
  const store = createStore(hub);
  store.insert(makeEntries(EARLY, 'early', 500));
  await backUpDatabase(path, backup);
  store.insert(makeEntries(LATE, 'late', 500));
  return { path, backup, hub };
}

describe.each([
  ['is in use', STEPS],
  ['is closed', STEPS],
  ['is lost, but for its log', STEPS.slice(1)],
])('while the database %s', (state, steps) => {
  test.each(steps)('killed before the step: %s', async (step) => {
    const { path, backup, hub } = await prepare();
    const isLost = state === 'is lost, but for its log';
    if (isLost) rmSync(path);
    else if (state === 'is closed') hub.close();
    expect(restoreUntil(step, path, backup)).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    if (!isLost || step === 'sync')
      expect(readElsewhere(path)).toEqual(['ok', step === 'sync' ? EARLY : EARLY + LATE]);
    if (step === 'sync') expect(use(path)).toBe(EARLY);
    // A hub that starts with the log alone creates a new database.
    else expect(use(path)).toBe(isLost ? 0 : EARLY + LATE);

    if (hub.sqlite.isOpen) hub.close();
    await restoreDatabase(path, readBackupFile(backup, path), { name: backup, nowUnixMs: Date.now });
    expect(use(path)).toBe(EARLY);
    for (const kept of keptBeside(path)) {
      const file = new DatabaseSync(kept);
      expect(file.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
      file.close();
    }
  });
});

function keptBeside(path: string): string[] {
  const pattern = /\.replaced-\w+(-\d+)?$/;
  return readdirSync(dirname(path)).flatMap((name) => (pattern.test(name) ? join(dirname(path), name) : []));
}
