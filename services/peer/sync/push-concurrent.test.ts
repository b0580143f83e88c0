// Pushes that come at the same time, of one device and of many.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { openStream } from '../../../testing/push-client.ts';
import { startMember, startResponder } from '../../../testing/push-responder.ts';
import { readToEnd, sendBytes } from '../../../testing/raw-stream.ts';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { wireEntries } from '../../../testing/wire-entries.ts';
import { decode, PUSH } from '../../../testing/wire-messages.ts';

afterEach(cleanUp);

const NOTHING = { inserted: 0, ignored: 0, deletion_inserted: 0, deletion_ignored: 0, deletion_deleted: 0 };

describe('many pushes', () => {
  test('two devices that push the same entries at once store them once', async () => {
    const responder = await startResponder({ answersAnyone: true });
    const clients = [await startMember(responder, null), await startMember(responder, null)];
    const entries = wireEntries('laptop', 3_000);
    const answers = await Promise.all(clients.map(async ({ push }) => push({ entries })));
    expect(answers.map(({ ok }) => ok)).toEqual([true, true]);
    expect(answers.reduce((sum, { inserted }) => sum + (inserted ?? 0), 0)).toBe(3_000);
    expect(responder.ids()).toHaveLength(3_000);
  });

  test('two processes with one database store the same entries once', async () => {
    const first = await startResponder({ answersAnyone: true });
    const second = await startResponder({ answersAnyone: true, databasePath: first.databasePath });
    const clients = [await startMember(first, null), await startMember(second, null)];
    const entries = wireEntries('laptop', 2_000);
    const answers = await Promise.all(clients.map(async ({ push }) => push({ entries })));
    expect(answers.map(({ ok }) => ok)).toEqual([true, true]);
    expect(answers.reduce((sum, { inserted }) => sum + (inserted ?? 0), 0)).toBe(2_000);
    expect(first.ids()).toHaveLength(2_000);
  });

  test('of one peer above the limit are answered, not reset', async () => {
    const responder = await startResponder();
    const { connection, push } = await startMember(responder);
    const signal = AbortSignal.timeout(WAIT_TIMEOUT_MS);
    const held = await Promise.all(Array.from({ length: 4 }, async () => openStream(connection, PUSH.json)));
    for (const stream of held) await sendBytes(stream, Buffer.from('{"entries":['));
    await until(async () => !(await push({ entries: wireEntries('laptop', 1) })).ok, 'the places are taken');
    expect(responder.events.at(-1)?.outcome).toBe('too_many_of_peer');
    const answers = held.map(async (stream) => {
      const answer = readToEnd(stream, signal);
      await sendBytes(stream, Buffer.from(']}'));
      await stream.close({ signal });
      return decode(await answer, 'json');
    });
    for (const answer of answers) expect(await answer).toEqual({ ok: true, ...NOTHING });
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true });
  });

  test('above the limit of all are refused, and served afterwards', async () => {
    const responder = await startResponder({ limits: { inWork: 1, waiting: 1, pushBytes: 1_000_000 } });
    const members = [await startMember(responder, 'a'), await startMember(responder, 'b')];
    const last = await startMember(responder, 'c');
    const held = await Promise.all(members.map(async ({ connection }) => openStream(connection, PUSH.json)));
    for (const stream of held) await sendBytes(stream, Buffer.from('{'));
    const entries = wireEntries('c', 1);
    await until(async () => !(await last.push({ entries })).ok, 'the places are taken');
    expect(responder.events.at(-1)?.outcome).toBe('too_many');
    for (const stream of held) stream.abort(new Error('The device left.'));
    await until(async () => (await last.push({ entries })).ok, 'the push is stored');
  });
});
