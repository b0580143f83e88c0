import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { openStream } from '../../../testing/push-client.ts';
import { listedDevice, startMember, startResponder } from '../../../testing/push-responder.ts';
import { sendBytes } from '../../../testing/raw-stream.ts';
import { wireDeletion, wireEntries } from '../../../testing/wire-entries.ts';
import { PUSH } from '../../../testing/wire-messages.ts';
import { until } from '../../../testing/wait.ts';

afterEach(cleanUp);

const NOTHING = { inserted: 0, ignored: 0, deletion_inserted: 0, deletion_ignored: 0, deletion_deleted: 0 };
const REFUSED = { ok: false, ...NOTHING };

describe('entries and deletions of others', () => {
  const [entry] = wireEntries('laptop', 1);
  const deletion = wireDeletion('laptop', 9);

  test.each([
    ['an entry of another device', { entries: [entry, { ...entry, entry_id: 'x', device_id: 'desktop' }] }],
    ['an entry of another user', { entries: [entry, { ...entry, entry_id: 'x', user_id: 'bob' }] }],
    ['an entry of nobody', { entries: [entry, { ...entry, entry_id: 'x', device_id: '' }] }],
    ['an invalid entry of another device', { entries: [entry, { device_id: 'desktop', user_id: 'ada' }] }],
    [
      'a deletion by another device',
      { entries: [entry], deletions: [{ ...deletion, device_id: 'desktop' }] },
    ],
    ['a deletion by another user', { entries: [entry], deletions: [{ ...deletion, user_id: 'bob' }] }],
    ['an invalid deletion of another user', { entries: [entry], deletions: [{ user_id: 'bob' }] }],
  ])('refuse the whole push of a member: %s', async (_, request) => {
    const responder = await startResponder();
    const { push } = await startMember(responder);
    expect(await push(request as never)).toMatchObject({ ok: false, inserted: 0 });
    expect(responder.ids()).toEqual([]);
    await until(() => responder.events.length === 1, 'the push is reported');
    expect(responder.events[0]).toMatchObject({ outcome: 'foreign_items', inserted: 0 });
    expect(responder.lines.some(({ advice }) => typeof advice === 'string')).toBe(true);
  });

  test('refuse a member that registered without a device id', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder, '');
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: false });
  });

  test('do not include those of the same device with another architecture', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder, 'laptop-aarch64');
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true, inserted: 1 });
  });

  test('are those of a device before it was registered anew', async () => {
    const responder = await startResponder();
    const { push, peerId } = await startMember(responder, 'old-name');
    responder.peerBook.remember(responder.listed);
    expect(await push({ entries: wireEntries('old-name', 1) })).toMatchObject({ ok: true });
    responder.listed.splice(0, 1, listedDevice(peerId, 'new-name'));
    expect(await push({ entries: wireEntries('new-name', 1) })).toMatchObject({ ok: true, inserted: 1 });
    expect(await push({ entries: wireEntries('other', 1) })).toMatchObject({ ok: false });
  });
});

describe('who may push', () => {
  test('a device that no tracker lists may not', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder, null);
    expect(await push({ entries: wireEntries('laptop', 1) })).toEqual(REFUSED);
    expect(responder.events[0]?.outcome).toBe('not_member');
    expect(responder.lines.filter(({ message }) => message === 'push refused')).toHaveLength(1);
  });

  test('a revoked device may not, nor one that is not in the list of the configuration', async () => {
    const responder = await startResponder({ answersAnyone: true });
    const { push, peerId } = await startMember(responder);
    responder.database.sqlite
      .prepare('INSERT INTO peer_revocations(peer_id, revoked_at, ticket_id) VALUES (?, 1, ?)')
      .run(peerId, 'ticket');
    expect(await push({ entries: wireEntries('laptop', 1) })).toEqual(REFUSED);
    const limited = await startResponder({ answersAnyone: true, allowedPeers: new Set([peerId]) });
    const other = await startMember(limited);
    expect(await other.push({ entries: wireEntries('laptop', 1) })).toEqual(REFUSED);
    expect([...responder.events, ...limited.events].map(({ outcome }) => outcome)).toEqual([
      'revoked',
      'not_allowed',
    ]);
  });

  test('with "anyone", an unknown peer may push for every device of the user, and for no other user', async () => {
    const responder = await startResponder({ answersAnyone: true });
    const { push } = await startMember(responder, null);
    const entries = [...wireEntries('laptop', 2), ...wireEntries('desktop', 2)];
    expect(await push({ entries })).toMatchObject({ ok: true, inserted: 4 });
    const foreign = wireEntries('laptop', 1, { first: 5, userId: 'bob' });
    expect(await push({ entries: [...wireEntries('laptop', 1, { first: 4 }), ...foreign] })).toMatchObject({
      ok: false,
    });
    expect(responder.ids()).toHaveLength(4);
  });

  test('with "anyone", a member may still push its own items only', async () => {
    const responder = await startResponder({ answersAnyone: true });
    const { push } = await startMember(responder, 'laptop');
    expect(await push({ entries: wireEntries('desktop', 1) })).toMatchObject({ ok: false });
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true });
  });

  test('a device id that is too large to be one is not reported, and one of a device is', async () => {
    const responder = await startResponder({ answersAnyone: true });
    const { push } = await startMember(responder, null);
    const [entry] = wireEntries('laptop', 1);
    for (const deviceId of ['x'.repeat(1_000_000), '', 'laptop'])
      expect(await push({ entries: [{ ...entry, device_id: deviceId }] as never })).toMatchObject({
        ok: true,
      });
    await until(() => responder.events.length === 3, 'the pushes are reported');
    expect(responder.events.map(({ deviceId }) => deviceId?.slice(0, 20))).toEqual([
      undefined,
      undefined,
      'laptop',
    ]);
  });

  test('devices that may not push, and send slowly, keep no place from those that may', async () => {
    const responder = await startResponder({ limits: { inWork: 1, waiting: 1, pushBytes: 1_000_000 } });
    const { push } = await startMember(responder);
    const unlisted = await startMember(responder, null);
    for (let count = 0; count < 2; count += 1) {
      const stream = await openStream(unlisted.connection, PUSH.json);
      await sendBytes(stream, Buffer.from('{'));
    }
    await until(() => responder.lines.some(({ message }) => message === 'push refused'), 'one is refused');
    expect(await push({ entries: wireEntries('laptop', 1) })).toMatchObject({ ok: true, inserted: 1 });
  });

  test('a large push is answered also when it is refused', async () => {
    const responder = await startResponder();
    const { push } = await startMember(responder, null);
    const entries = wireEntries('laptop', 600, { commandLength: 10_000 });
    expect(await push({ entries }, { encoding: 'json' })).toEqual(REFUSED);
  });
});
