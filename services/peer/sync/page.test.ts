import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { openDatabase } from '../history/database.ts';
import { createStore } from '../history/store.ts';
import { createPageReader, type Unsendable } from './page.ts';

afterEach(cleanUp);

/** A database with entries of which some were changed by another program, and what a page leaves out. */
function startReader(count: number) {
  const database = openDatabase(join(makeDirectory(), 'history.db'), () => 0);
  onCleanup(async () => database.close());
  const store = createStore(database);
  store.insert(makeEntries(count));
  const left: Unsendable[] = [];
  const reader = createPageReader(store, (unsendable) => left.push(unsendable));
  const change = (seqs: readonly number[], assignment: string): void => {
    for (const seq of seqs)
      database.sqlite.exec(`UPDATE entries SET ${assignment} WHERE ingest_seq = ${seq}`);
  };
  const read = async (cursor: number, limit: number, deleteCursor?: number) => {
    const page = await reader.read({ cursor, limit, deleteCursor });
    return { ...page, ids: page.entries.map((json) => (JSON.parse(json) as { entry_id: string }).entry_id) };
  };
  return { database, store, left, change, read };
}

describe('a page', () => {
  test.each([
    ['a time after the year 9999', 'ts = 253402300800'],
    ['a time that is not exact in JavaScript', 'ts = 9223372036854775807'],
    ['a duration that is not exact in JavaScript', 'duration_ms = -9223372036854775808'],
    ['an exit code of 64 bits', 'exit_code = 4294967296'],
    ['a time as text', "ts = 'yesterday'"],
    ['a fraction', 'duration_ms = 0.5'],
    ['a command that is too large', "cmd = printf('%.*c', 9000000, 'x')"],
    ['a command that is too large as JSON', "cmd = replace(hex(zeroblob(1500000)), '0', char(1))"],
    ['a command of bytes', "cmd = x'ff00'"],
    ['a shell of 5,000 characters', "shell = printf('%.*c', 5000, 'x')"],
    ['an empty id', "entry_id = ''"],
    ['an id of bytes', "entry_id = x'00'"],
  ])('leaves out an entry with %s, reports it, and has the entries after it', async (_, assignment) => {
    const { left, change, read, store } = startReader(3);
    change([2], assignment);
    expect(await read(0, 1)).toMatchObject({ ids: ['laptop-0'], nextCursor: 1 });
    expect(await read(1, 1)).toMatchObject({ ids: ['laptop-2'], nextCursor: 3 });
    expect(await read(0, 10)).toMatchObject({ ids: ['laptop-0', 'laptop-2'], nextCursor: 3 });
    expect(left[0]).toEqual({ kind: 'entry', seq: 2, text: expect.stringMatching(/^The .*\.$/) });
    const found: number[] = [];
    store.readUnsendable(({ seq }) => found.push(seq) > 0);
    expect(found).toEqual([2]);
  });

  test('has entries however many cannot be sent before them, and reads those once', async () => {
    const { left, change, read } = startReader(5_000);
    change(
      Array.from({ length: 4_900 }, (_, index) => index + 1),
      'exit_code = 4294967296',
    );
    expect(await read(0, 10)).toMatchObject({ nextCursor: 4_910 });
    expect(left).toHaveLength(4_900);
    expect(await read(0, 10)).toMatchObject({ nextCursor: 4_910 });
    expect(left.length).toBeLessThan(4_920);
  });

  test('is empty when nothing that follows can be sent, and its cursor does not move', async () => {
    const { change, read, store } = startReader(30);
    change([28, 29, 30], 'exit_code = 4294967296');
    expect(await read(27, 1)).toMatchObject({ ids: [], nextCursor: undefined });
    expect(await read(20, 100)).toMatchObject({ nextCursor: 27 });
    store.insert(makeEntries(1, 'desktop'));
    expect(await read(27, 1)).toMatchObject({ ids: ['desktop-0'], nextCursor: 31 });
  });

  test('keeps text with NUL', async () => {
    const { change, read } = startReader(1);
    change([1], "cmd = 'a' || char(0) || 'b'");
    const [json = ''] = (await read(0, 1)).entries;
    expect(JSON.parse(json)).toMatchObject({ cmd: 'a\0b' });
  });

  test('leaves out deletions without a valid id, repairs others, and has what follows', async () => {
    const { database, left, read } = startReader(1);
    database.sqlite.exec(`INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at) VALUES
      ('', 'ada', 'laptop', 1), (x'00', 'ada', 'laptop', 1), ('b', x'ff', printf('%.*c', 5000, 'x'), 1.5)`);
    expect(await read(0, 1, 0)).toMatchObject({
      deletions: ['{"entry_id":"b","user_id":"","device_id":"","deleted_at":1}'],
      nextDeleteCursor: 3,
      entries: [],
    });
    expect(left).toHaveLength(2);
    expect(await read(0, 1, 3)).toMatchObject({ deletions: [], nextDeleteCursor: undefined, nextCursor: 1 });
  });
});
