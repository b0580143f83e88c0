import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { openDatabase } from '../history/database.ts';
import { type Integrity, startIntegrityCheck } from '../history/integrity.ts';
import { createStore } from '../history/store.ts';
import { checkIntegrity } from './integrity-component.ts';

let path: string;

beforeEach(() => {
  path = join(makeDirectory(), 'history.db');
  const database = openDatabase(path);
  createStore(database).insert(makeEntries(2_000, 'laptop', 200));
  database.close();
});
afterEach(cleanUp);

function overwrite(position: number, bytes: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(bytes, 0xff), 0, bytes, position);
  closeSync(file);
}

test('a sound database starts, also while it is in use', async () => {
  const { log, lines } = createTestLog();
  const database = openDatabase(path);
  onCleanup(() => database.close());
  createStore(database).insert(makeEntries(10, 'desktop'));
  const component = await checkIntegrity({ path, log });
  await component.start();
  await component.stop();
  expect(lines).toEqual([expect.objectContaining({ message: 'the database is not damaged', path })]);
});

test.each([
  ['a page of the history', 40 * 4096],
  ['the schema', 100],
  ['the header', 0],
])('a database does not start when %s is damaged', async (_, position) => {
  overwrite(position, 3 * 4096);
  const { log } = createTestLog();
  await expect(checkIntegrity({ path, log })).rejects.toMatchObject({
    exit: 'database',
    message: expect.stringMatching(/history\.db: the database is damaged: ./),
    advice: expect.stringMatching(/Restore a backup .* every device pushes what it has/),
  });
});

test('a check that takes long does not delay the start, and ends the service when it finds damage', async () => {
  const { log, lines } = createTestLog();
  const result = Promise.withResolvers<Integrity>();
  const start = () => ({ result: result.promise, stop: () => {} });
  const component = await checkIntegrity({ path, log, start, startWaitMs: 1 });
  await component.start();
  result.resolve({ state: 'damaged', text: 'page 7' });
  expect(await component.failed).toEqual({
    exitCode: 5,
    text: expect.stringMatching(/the database is damaged: page 7\. Restore a backup/),
  });
  expect(lines.map(({ message }) => message)).toEqual([
    'the check of the database goes on while the hub serves',
  ]);
});

test('a check that is stopped, or cannot be made, says so', async () => {
  const check = startIntegrityCheck(path);
  check.stop();
  expect(await check.result).toMatchObject({ state: 'unknown' });
  const missing = startIntegrityCheck(`${path}.none`);
  expect(await missing.result).toMatchObject({
    state: 'unknown',
    text: expect.stringContaining('unable to open'),
  });
});
