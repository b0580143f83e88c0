import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { startMember, startResponder } from '../../../testing/push-responder.ts';
import { FIRST_PUSH_WAIT_MS, openStream } from '../../../testing/push-client.ts';
import { sendBytes } from '../../../testing/raw-stream.ts';
import { wireDeletion, wireEntries } from '../../../testing/wire-entries.ts';
import { decode, PUSH } from '../../../testing/wire-messages.ts';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { refused } from '../../shared/result.ts';
import { openDatabase } from '../history/database.ts';

afterEach(cleanUp);

const NOTHING = { inserted: 0, ignored: 0, deletion_inserted: 0, deletion_ignored: 0, deletion_deleted: 0 };
const REFUSED = { ok: false, ...NOTHING };

describe.each(['zstd', 'json'] as const)('a push of a member as %s', (encoding) => {
  test('is stored, and a second one is ignored', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const entries = wireEntries('laptop', 3);
    expect(await push({ entries }, { encoding })).toEqual({ ok: true, ...NOTHING, inserted: 3 });
    expect(await push({ entries }, { encoding })).toEqual({ ok: true, ...NOTHING, ignored: 3 });
    expect(responder.ids()).toEqual(entries.map(({ entry_id: id }) => id));
  });

  test('deletes first, and stores nothing that is deleted', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    await push({ entries: wireEntries('laptop', 2) }, { encoding });
    const deletions = [wireDeletion('laptop', 0), wireDeletion('laptop', 2)];
    expect(await push({ entries: wireEntries('laptop', 4), deletions }, { encoding })).toEqual({
      ok: true,
      inserted: 1,
      ignored: 3,
      deletion_inserted: 2,
      deletion_ignored: 0,
      deletion_deleted: 1,
    });
    expect(await push({ deletions }, { encoding })).toEqual({ ok: true, ...NOTHING, deletion_ignored: 2 });
    expect(responder.ids()).toEqual(['laptop-0000001', 'laptop-0000003']);
  });
});

describe('items that are not valid', () => {
  test('are skipped and counted; the others are stored', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const [first, second, third] = wireEntries('laptop', 3);
    const bad = [
      { ...second, ts: null },
      { ...second, entry_id: '' },
      { ...second, cmd: 7 },
    ];
    const deletions = [{ ...wireDeletion('laptop', 7), entry_id: '' }, wireDeletion('laptop', 8)];
    const answer = await push({ entries: [first, ...bad, third] as never, deletions });
    expect(answer).toEqual({
      ok: true,
      inserted: 2,
      ignored: 3,
      deletion_inserted: 1,
      deletion_ignored: 1,
      deletion_deleted: 0,
    });
    await until(() => responder.events.length === 1, 'the push is reported');
    expect(responder.events[0]).toMatchObject({
      outcome: 'stored',
      userId: 'ada',
      deviceId: 'laptop',
      entries: 5,
      deletions: 2,
      inserted: 2,
      invalid: 4,
    });
    expect(responder.ids()).toEqual(['laptop-0000000', 'laptop-0000002']);
  });

  test.each([
    ['text', 'not JSON'],
    ['a push without entries', '{"deletions":[]}'],
    ['an empty message', ''],
    ['the start of a push', '{"entries":[{"entry_id":"a"'],
  ])('%s is refused, and the next push is stored', async (_, text) => {
    const responder = await startResponder();
    const { push, exchange, connection } = await startMember(responder);
    const answer = await exchange(connection, PUSH.json, Buffer.from(text));
    expect(decode(answer, 'json')).toEqual(REFUSED);
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true });
    expect(responder.events[0]?.outcome).toBe('invalid_message');
  });
});

describe('a push that cannot be stored', () => {
  const entries = wireEntries('laptop', 5);

  test('is answered before its sender gives up, and stored when the other process has finished', async () => {
    const responder = await startResponder({ answerMs: 300 });
    const { push } = await startMember(responder);
    const other = openDatabase(responder.databasePath);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    expect(await push({ entries })).toMatchObject({ ok: false, inserted: 0 });
    other.sqlite.exec('ROLLBACK');
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 5 });
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['locked', 'stored']);
  });

  test('is answered within the first wait of rr by default', async () => {
    const responder = await startResponder({ answerMs: undefined });
    const { push } = await startMember(responder);
    const other = openDatabase(responder.databasePath);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const signal = AbortSignal.timeout(FIRST_PUSH_WAIT_MS);
    expect(await push({ entries }, { signal })).toMatchObject({ ok: false, inserted: 0 });
  });

  test('waits while another process writes for a short time', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const other = openDatabase(responder.databasePath);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const pushed = push({ entries });
    setTimeout(() => other.sqlite.exec('ROLLBACK'), 200);
    expect(await pushed).toMatchObject({ ok: true, inserted: 5 });
  });

  test('is refused while there is no space', async () => {
    let isFull = true;
    const storage = {
      check: () => (isFull ? refused('database_full' as const) : { ok: true as const }),
      report: () => undefined,
    };
    const responder = await startResponder({ storage });
    const { push } = await startMember(responder);
    expect(await push({ entries })).toEqual(REFUSED);
    isFull = false;
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 5 });
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['database_full', 'stored']);
  });

  test('is stored as far as it deletes while the database is full', async () => {
    let isFull = false;
    const storage = {
      check: (kind?: string) =>
        isFull && kind !== 'deletions' ? refused('database_full' as const) : { ok: true as const },
      report: () => undefined,
    };
    const responder = await startResponder({ storage });
    const { push } = await startMember(responder);
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 5 });
    isFull = true;
    const late = wireEntries('laptop', 1, { first: 5 });
    expect(await push({ entries: late, deletions: [wireDeletion('laptop', 3)] })).toMatchObject({
      ok: false,
      inserted: 0,
    });
    expect(responder.ids()).not.toContain('laptop-0000003');
    expect(await push({ entries: [], deletions: [wireDeletion('laptop', 4)] })).toMatchObject({
      ok: true,
      deletion_deleted: 1,
    });
    expect(responder.ids()).toHaveLength(3);
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['stored', 'database_full', 'stored']);
  });

  test('is refused when the disk becomes full in a transaction', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const { sqlite } = responder.database;
    const pages = Number(sqlite.prepare('PRAGMA page_count').get()?.['page_count']);
    sqlite.exec(`PRAGMA max_page_count = ${pages}`);
    const many = wireEntries('laptop', 500, { commandLength: 500 });
    expect(await push({ entries: many })).toMatchObject({ ok: false, inserted: 0 });
    sqlite.exec('PRAGMA max_page_count = 1000000');
    expect(await push({ entries: many })).toMatchObject({ ok: true, inserted: 500 });
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['disk_full', 'stored']);
  });

  test('is refused when this peer stops', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const other = openDatabase(responder.databasePath);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const pushed = push({ entries }).catch(() => ({ ok: false }));
    await until(() => responder.isBusy(), 'the push arrives');
    await responder.stop();
    expect(await pushed).toMatchObject({ ok: false });
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['stopping']);
  });

  test('is answered before a drain ends, in which no other is accepted', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const other = openDatabase(responder.databasePath);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const pushed = push({ entries });
    await until(() => responder.isBusy(), 'the push arrives');
    const drained = responder.drain(AbortSignal.timeout(WAIT_TIMEOUT_MS));
    await expect(push({ entries })).rejects.toThrow();
    other.sqlite.exec('ROLLBACK');
    await drained;
    expect(responder.events.map(({ outcome }) => outcome)).toEqual(['stored']);
    expect(await pushed).toMatchObject({ ok: true, inserted: 5 });
  });
});

describe('a large push', () => {
  test('is stored as a whole, and its repetition is ignored', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    const entries = wireEntries('laptop', 3_000);
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 3_000 });
    expect(responder.ids()).toEqual(entries.map(({ entry_id: id }) => id));
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 0, ignored: 3_000 });
  });

  test('that is answered too early to be stored is stored nevertheless, and its repetition finds it', async () => {
    const entries = wireEntries('laptop', 3_000);
    const hurried = await startResponder({ answerMs: 1 });
    const { push } = await startMember(hurried);
    expect(await push({ entries })).toMatchObject({ ok: false });
    await until(() => hurried.ids().length === 3_000, 'everything is stored');
    await until(() => hurried.events.length === 1, 'the push has ended');
    expect(hurried.events[0]).toMatchObject({ outcome: 'deadline', inserted: 3_000 });
    // It cannot be decoded once more in a millisecond.
    await until(async () => (await push({ entries })).ok, 'the repetition is acknowledged');
  });

  test('is received within a small memory, one after the other', async () => {
    const limits = { inWork: 2, waiting: 30, pushBytes: 100_000 };
    const responder = await startResponder({ limits });
    const clients = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (device) => ({ device, member: await startMember(responder, device) })),
    );
    const answers = await Promise.all(
      clients.map(async ({ device, member }) =>
        member.push({ entries: wireEntries(device, 2_000) }, { encoding: 'json' }),
      ),
    );
    expect(answers.map(({ inserted }) => inserted)).toEqual([2_000, 2_000, 2_000, 2_000]);
    expect(responder.ids()).toHaveLength(8_000);
  });

  test('is refused while another one that is larger than the memory arrives, and stored afterwards', async () => {
    const limits = { inWork: 2, waiting: 30, pushBytes: 10_000 };
    const responder = await startResponder({ limits, answerMs: 300 });
    const [holder, { push }] = [await startMember(responder, 'a'), await startMember(responder, 'b')];
    const stream = await openStream(holder.connection, PUSH.json);
    await sendBytes(stream, Buffer.alloc(500_000, ' '));
    const entries = wireEntries('b', 500);
    expect(await push({ entries }, { encoding: 'json' })).toEqual(REFUSED);
    await until(() => responder.events.length === 1, 'the push has ended');
    expect(responder.events[0]?.outcome).toBe('too_many');
    stream.abort(new Error('The device left.'));
    await until(async () => (await push({ entries }, { encoding: 'json' })).ok, 'the push is stored');
  });

  test('that never ends holds its place until the idle timeout', async () => {
    const responder = await startResponder({ idleTimeoutMs: 200 });
    const { connection, push } = await startMember(responder);
    const streams = await Promise.all(
      Array.from({ length: 4 }, async () => openStream(connection, PUSH.json)),
    );
    for (const stream of streams) await sendBytes(stream, Buffer.from('{"entries":['));
    await until(() => responder.events.length >= 4, 'the pushes have ended');
    expect(new Set(responder.events.map(({ outcome }) => outcome))).toEqual(new Set(['interrupted']));
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true });
  });
});
