import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { openDatabase } from '../history/database.ts';
import { ensureDatabaseId, readDatabaseId, renewDatabaseId } from '../history/database-id.ts';
import { createIdentityChange } from './identity-change.ts';

afterEach(cleanUp);

async function watch(path: string, databaseId: string) {
  const database = openDatabase(path);
  onCleanup(() => database.close());
  const change = createIdentityChange({
    databaseId,
    readId: () => readDatabaseId(database),
    exitCode: 5,
    intervalMs: 5,
  });
  await change.start();
  onCleanup(async () => change.stop());
  if (change.failed === undefined) throw new Error('The component cannot fail.');
  return { failed: change.failed };
}

describe('a hub', () => {
  test('ends with its exit code when another process gives its database a new id', async () => {
    const path = join(makeDirectory(), 'history.db');
    const other = openDatabase(path);
    onCleanup(() => other.close());
    const change = await watch(path, ensureDatabaseId(other));
    renewDatabaseId(other);
    const { exitCode, text } = await change.failed;
    expect(exitCode).toBe(5);
    expect(text).toContain('The database has a new id');
  });

  test('ends when the id was renewed before it started to look', async () => {
    const path = join(makeDirectory(), 'history.db');
    const other = openDatabase(path);
    onCleanup(() => other.close());
    const before = ensureDatabaseId(other);
    renewDatabaseId(other);
    expect(await (await watch(path, before)).failed).toMatchObject({ exitCode: 5 });
  });
});
