import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, readEntries } from '../../../testing/peer.ts';
import { type Database, openDatabase } from './database.ts';
import type { Entry } from './entry.ts';
import type { Shell } from './history-lines.ts';
import { summarizeTimes } from './history-times.ts';
import { toRecords } from './import-records.ts';
import { readCommands } from './shell-history.ts';
import { createStore, type Store } from './store.ts';

let database: Database;
let store: Store;

beforeEach(() => {
  database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  store = createStore(database);
});

afterEach(cleanUp);

function recordsOf(shell: Shell, text: string | Buffer) {
  const from = {
    shell,
    userId: 'ada',
    deviceId: 'dev1',
    hostname: 'dev1.lan',
    version: '0.1.0',
    lastUnixSeconds: 1_700_000_100,
  };
  const commands = [...readCommands(shell, [Buffer.from(text)])];
  return [...toRecords(commands, from, summarizeTimes(commands, 1_000))];
}

const idsOf = (shell: Shell, text: string | Buffer): string[] =>
  recordsOf(shell, text).map(({ entry }) => entry.entry_id);
const importFile = (text: string, shell: Shell = 'bash') => store.importRecords(recordsOf(shell, text));
const commands = (): string[] => readEntries(store).map(({ cmd }) => cmd);

/** The id that `rr` derives for a record, written from the description of the rule. */
function idOfRr(shell: Shell, time: number, index: number, command: string): string {
  const hash = createHash('sha1')
    .update(Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex'))
    .update(`rustory:import\0ada\0dev1\0${shell}\0${time}\0${index}\0${command}`)
    .digest('hex');
  const variant = ((parseInt(hash.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `5${hash.slice(13, 16)}`,
    `${variant}${hash.slice(18, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

/** The id by repetition, as all versions of this peer derive it. */
function repetitionIdOf(key: string, repetition: number): string {
  const hash = createHash('sha256')
    .update(['import', 'ada', 'dev1', 'bash', key, String(repetition)].join('\0'))
    .digest('hex');
  const variant = ((parseInt(hash.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(18, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

const entryWithId = (entryId: string, cmd: string): Entry => ({
  ...(recordsOf('bash', `${cmd}\n`)[0] as { entry: Entry }).entry,
  entry_id: entryId,
});
const deleted = { user_id: 'ada', device_id: 'desktop', deleted_at: 1_700_000_000 };

describe('the id of an imported record', () => {
  test('is that of rr', () => {
    expect(idsOf('bash', '#1700000000\nls -la\n#1700000005\ngit status\n#1700000005\ngit status')).toEqual([
      '78debb47-2f4f-5a49-a21f-85351a9951cf',
      '31754542-9903-5670-b193-ba7e92b42fbd',
      '903b05bc-c544-51a4-992f-a50eb83f92e5',
    ]);
    expect(idsOf('zsh', ': 1700000000:3;make all')).toEqual(['4bc53a61-26a9-5e2c-b021-255b142d6499']);
  });

  test('counts the lines that rr counts: not empty ones and times of bash, but its own commands', () => {
    const text = 'a\n\n  \nrr sync\n rr\nrrdtool\n#+5\r\n  b  \n#comment\n#1700000000\n\n#1700000001\nc\n';
    expect(idsOf('bash', text)).toEqual([
      idOfRr('bash', 0, 0, 'a'),
      idOfRr('bash', 0, 3, 'rrdtool'),
      // A comment for this peer, a time for rr.
      expect.not.stringMatching(idOfRr('bash', 0, 4, '#+5')),
      idOfRr('bash', 5, 4, 'b'),
      idOfRr('bash', 0, 5, '#comment'),
      idOfRr('bash', 1_700_000_001, 6, 'c'),
    ]);
  });

  test('has the time that rr reads in a zsh file, and its index also after records without a command', () => {
    const text = ': 1700000000:0;\nls\n: x:0;pwd\n:  1700000001:0;id\n: 1:2 echo;b\n: 1700000002:x;w;x\n';
    expect(idsOf('zsh', text)).toEqual([
      idOfRr('zsh', 0, 1, 'ls'),
      idOfRr('zsh', 0, 2, 'pwd'),
      idOfRr('zsh', 0, 3, 'id'),
      idOfRr('zsh', 1, 4, 'b'),
      idOfRr('zsh', 1_700_000_002, 5, 'w;x'),
    ]);
    expect(recordsOf('zsh', text)[2]?.entry.ts).toBe(1_700_000_001);
  });

  test('is that of rr for a command that the shell encoded, which is stored decoded', () => {
    const content = Buffer.from([...Buffer.from(': 1:0;echo '), 0xc4, 0x83, 0xa1, 0x0a]);
    const [record] = recordsOf('zsh', content);
    expect(record?.entry).toMatchObject({
      cmd: 'echo ā',
      entry_id: idOfRr('zsh', 1, 0, 'echo \u0103\ufffd'),
    });
  });

  test('of a command of several lines is no id that rr derives, and the commands after it have theirs', () => {
    const bash = idsOf('bash', '#1700000000\nfor i in 1 2\ndo echo $i\ndone\n#1700000005\nls\n');
    expect(bash).toHaveLength(2);
    expect([0, 1, 2].map((index) => idOfRr('bash', 1_700_000_000, index, 'for i in 1 2'))).not.toContain(
      bash[0],
    );
    expect(bash[1]).toBe(idOfRr('bash', 1_700_000_005, 3, 'ls'));
    const zsh = idsOf('zsh', ': 1700000000:0;echo a\\\nb\n: 1700000005:0;ls\n');
    expect(zsh[1]).toBe(idOfRr('zsh', 1_700_000_005, 2, 'ls'));
  });

  test('is the same in each import, and different for each command of a file', () => {
    const text = '- cmd: ls\n  when: 1\n- cmd: ls\n  when: 1\n- cmd: a\\nb\n';
    expect(idsOf('fish', text)).toEqual(idsOf('fish', text));
    expect(new Set(idsOf('fish', text)).size).toBe(3);
  });
});

describe('an import', () => {
  test('adds nothing the second time, also when the file has lost its first lines', () => {
    importFile('a\nls\nls\nb\n');
    expect(importFile('a\nls\nls\nb\n')).toEqual({ inserted: 0, duplicates: 4 });
    expect(importFile('ls\nls\nb\n')).toEqual({ inserted: 0, duplicates: 3 });
    expect(importFile('ls\nls\nb\nls\nc\n')).toEqual({ inserted: 2, duplicates: 3 });
    expect(importFile('ls\nls\nb\nls\nc\n')).toEqual({ inserted: 0, duplicates: 5 });
    expect(commands()).toEqual(['a', 'ls', 'ls', 'b', 'ls', 'c']);
  });

  test('loses no command whose id another record had before the file lost lines', () => {
    importFile('a\nls\nls\n');
    expect(importFile('ls\nls\nls\n')).toEqual({ inserted: 1, duplicates: 2 });
    expect(importFile('ls\nls\nls\n')).toEqual({ inserted: 0, duplicates: 3 });
  });

  test('recognizes the records that an earlier version or rr imported', () => {
    const records = recordsOf('bash', 'a\nb\nc\n');
    store.insert([
      entryWithId(records[0]?.repetitionId ?? '', 'a'),
      entryWithId(idOfRr('bash', 0, 1, 'b'), 'b'),
    ]);
    expect(importFile('a\nb\nc\n')).toEqual({ inserted: 1, duplicates: 2 });
    expect(importFile('b\nc\n')).toEqual({ inserted: 0, duplicates: 2 });
  });

  test('adds nothing to what an earlier version imported in the same way, although it read other times', () => {
    // Ids as the version before had them: the number in any comment before a command is its time.
    const text = '#443\nls\n#1\nls\n#1700000000\npwd\n#1700000005\nfor i in 1\ndo x\ndone\n';
    const records = recordsOf('bash', text).map(({ entry }) => [entry.cmd, entry.entry_id]);
    expect(records).toEqual([
      ['#443', expect.any(String)],
      ['ls', idOfRr('bash', 443, 0, 'ls')],
      ['#1', expect.any(String)],
      ['ls', idOfRr('bash', 1, 1, 'ls')],
      ['pwd', idOfRr('bash', 1_700_000_000, 2, 'pwd')],
      ['for i in 1\ndo x\ndone', expect.any(String)],
    ]);
    expect(recordsOf('bash', text).map(({ repetitionId }) => repetitionId)).toEqual(
      expect.arrayContaining([
        repetitionIdOf('443\0ls', 0),
        repetitionIdOf('1\0ls', 0),
        repetitionIdOf('1700000000\0pwd', 0),
        repetitionIdOf('1700000005\0for i in 1\ndo x\ndone', 0),
      ]),
    );
  });

  test('of a line with plain commands after a time has the ids of rr for each', () => {
    expect(idsOf('bash', '#1700000000\na\nb\n#1700000005123\nc\n')).toEqual([
      idOfRr('bash', 1_700_000_000, 0, 'a'),
      idOfRr('bash', 0, 1, 'b'),
      idOfRr('bash', 1_700_000_005_123, 2, 'c'),
    ]);
    expect(idsOf('zsh', ': 1700000005123:-4;c\n: -3:0;d\n')).toEqual([
      idOfRr('zsh', 1_700_000_005_123, 0, 'c'),
      idOfRr('zsh', -3, 1, 'd'),
    ]);
  });

  test.each([0, 1])('does not restore what was deleted by id %i of the two', (which) => {
    const [record] = recordsOf('bash', 'secret\n');
    const ids = [record?.entry.entry_id ?? '', record?.repetitionId ?? ''];
    store.deleteEntries([ids[which] ?? ''], deleted);
    expect(importFile('secret\nls\n')).toEqual({ inserted: 1, duplicates: 1 });
    // Devices that know only the other id get a deletion of that id.
    expect(ids.map((id) => store.isDeleted(id))).toEqual([true, true]);
  });

  test.each([0, 1])('is undone by a deletion of id %i of the two', (which) => {
    const [record] = recordsOf('bash', 'secret\n');
    const ids = [record?.entry.entry_id ?? '', record?.repetitionId ?? ''];
    importFile('secret\nls\n');
    const page = { entries: [], deletions: [{ ...deleted, entry_id: ids[which] ?? '' }] };
    expect(store.insertPage(page, { peerId: 'p', deleteCursor: 1 })).toMatchObject({ deleted: 1 });
    expect(commands()).toEqual(['ls']);
    expect(ids.map((id) => store.isDeleted(id))).toEqual([true, true]);
    expect(importFile('secret\nls\n')).toEqual({ inserted: 0, duplicates: 2 });
  });

  test('removes the entry of an earlier version whose other id was deleted before', () => {
    const [record] = recordsOf('bash', 'secret\n');
    store.insert([entryWithId(record?.repetitionId ?? '', 'secret')]);
    store.deleteEntries([record?.entry.entry_id ?? ''], deleted);
    expect(commands()).toEqual(['secret']);
    importFile('secret\n');
    expect(commands()).toEqual([]);
  });

  test('counts for both ids when rr deletes a record in the same database', () => {
    const [record] = recordsOf('bash', 'secret\n');
    importFile('secret\n');
    // A deletion as rr makes it, by the id under which the record is stored.
    database.sqlite.exec(`DELETE FROM entries;
      INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at)
        SELECT entry_id, 'ada', 'dev1', 5 FROM rustory_p2p_import_ids`);
    const sent: string[] = [];
    store.readDeletionsAfter(0, 10, ({ deletion }) => sent.push(deletion.entry_id) > 0);
    expect(sent).toEqual([record?.entry.entry_id, record?.repetitionId]);
    const again = entryWithId(record?.repetitionId ?? '', 'secret');
    expect(store.insertPage({ entries: [again], deletions: [] }, { peerId: 'p' })).toMatchObject({
      inserted: 0,
    });
  });
});
