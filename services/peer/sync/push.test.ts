// Pushes of a device to a device of `rr`, which is written from the description of `rr` and not from our code.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeEntries } from '../../../testing/peer.ts';
import { startPushTarget } from '../../../testing/push-target.ts';
import { OWNER, pushRound, startPusher, startPushPair } from '../../../testing/scripted-push.ts';
import type { Entry } from '../history/entry.ts';

afterEach(cleanUp);

const deletedBy = { user_id: 'ada', device_id: 'laptop', deleted_at: 1_750_000_000 };
const idsOf = (items: ReadonlyArray<{ entry_id: string }>): string[] => items.map(({ entry_id: id }) => id);

/** An entry of a device with changes. */
function other(change: Partial<Entry>, name: string): Entry {
  return Object.assign(makeEntries(1)[0] as Entry, { entry_id: name, ...change });
}

describe('a push', () => {
  test('sends what this device made, once, in its order, and the peer has it', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(5));
    client.store.deleteEntries(['laptop-1'], deletedBy);
    const first = await pushRound(client, peer);
    expect(first.push).toMatchObject({ state: 'ok', entries: 4, deletions: 1, inserted: 4 });
    expect(first.sent).toHaveLength(1);
    expect(first.sent[0]).toMatchObject({
      encoding: 'zstd',
      deletions: [{ ...deletedBy, entry_id: 'laptop-1' }],
    });
    expect(idsOf(peer.entries)).toEqual(['laptop-0', 'laptop-2', 'laptop-3', 'laptop-4']);
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 5, deleteCursor: 1 });
    client.store.insert(makeEntries(6));
    const second = await pushRound(client, peer);
    expect(idsOf(second.sent.flatMap(({ entries }) => entries))).toEqual(['laptop-5']);
    expect((await pushRound(client, peer)).sent).toEqual([]);
  });

  test('contains nothing of other devices and users, and the cursor moves past it without a request', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert([
      other({ device_id: 'desktop' }, 'of-desktop'),
      other({ user_id: 'bob' }, 'of-bob'),
      other({ device_id: 'Laptop' }, 'of-another-case'),
    ]);
    client.store.insertPage(
      { entries: [], deletions: [{ entry_id: 'x', user_id: 'ada', device_id: 'desktop', deleted_at: 1 }] },
      { peerId: 'p' },
    );
    const first = await pushRound(client, peer);
    expect(first).toMatchObject({ sent: [], push: { state: 'ok', entries: 0, deletions: 0 } });
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 3, deleteCursor: 1 });
    client.store.insert(makeEntries(2));
    client.store.insert([other({ device_id: 'desktop' }, 'later')]);
    const second = await pushRound(client, peer);
    expect(idsOf(second.sent.flatMap(({ entries }) => entries))).toEqual(['laptop-0', 'laptop-1']);
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 6 });
  });

  test('leaves out a stored entry that no device could store, and sends what follows', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(1_200));
    client.database.sqlite.exec('UPDATE entries SET ts = 253402300800 WHERE ingest_seq BETWEEN 2 AND 1199');
    expect((await pushRound(client, peer)).push).toMatchObject({ state: 'ok', entries: 2 });
    expect(idsOf(peer.entries)).toEqual(['laptop-0', 'laptop-1199']);
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 1_200 });
  });

  test('is not sent for what the peer has pulled', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    client.store.acknowledge(peer.peerId, { cursor: 2 });
    expect(idsOf((await pushRound(client, peer)).sent.flatMap(({ entries }) => entries))).toEqual([
      'laptop-2',
    ]);
  });

  test('has at most 1,000 entries and deletions, and the deletions come first', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(2_600));
    client.store.deleteEntries(
      Array.from({ length: 300 }, (_, index) => `laptop-${index}`),
      deletedBy,
    );
    const { push, sent } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'ok', entries: 2_300, deletions: 300 });
    expect(sent.map(({ entries, deletions }) => [entries.length, deletions.length])).toEqual([
      [700, 300],
      [1_000, 0],
      [600, 0],
    ]);
    expect(peer.entries).toHaveLength(2_300);
  });

  test('is divided by size, and the largest entry has a push of its own', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert([
      ...makeEntries(12, 'laptop', 1_000_000),
      ...makeEntries(1).map((entry) =>
        Object.assign(entry, { entry_id: 'huge', cmd: 'x'.repeat(8 * 1024 * 1024) }),
      ),
      ...makeEntries(1).map((entry) => Object.assign(entry, { entry_id: 'last' })),
    ]);
    const { push, sent } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'ok', entries: 14 });
    expect(sent.find(({ entries }) => idsOf(entries).includes('huge'))?.entries).toHaveLength(1);
    for (const { entries, jsonBytes, wireBytes } of sent) {
      if (entries.length > 1) expect(jsonBytes).toBeLessThan(5 * 1024 * 1024);
      expect(wireBytes).toBeLessThan(16 * 1024 * 1024);
    }
  });

  test('uses the plain version with a peer that does not compress', async () => {
    const [client, peer] = [await startPusher(), await startPushTarget({ encodings: ['json'] })];
    client.store.insert(makeEntries(3));
    expect((await pushRound(client, peer)).sent).toMatchObject([{ encoding: 'json' }]);
    expect(peer.entries).toHaveLength(3);
  });

  test('is an entry list only, without deletions, for rr 0.1', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(1));
    // It knows no other fields, and its counts may be null.
    peer.intercept = () => ({ answer: { ok: true, inserted: null, ignored: null } });
    expect((await pushRound(client, peer)).push).toMatchObject({ state: 'ok', entries: 1, inserted: 0 });
    expect((await pushRound(client, peer)).sent).toEqual([]);
  });
});

describe('a push that fails', () => {
  test('is refused: the report says why, the pull is not affected, and the cursor stays', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    peer.entries.push({ ...makeEntriesOf('desktop'), entry_id: 'desktop-0' });
    peer.member = { userId: 'ada', deviceId: 'renamed' };
    const { report, push, sent } = await pushRound(client, peer);
    expect(report).toMatchObject({ error: undefined, entries: 1 });
    expect(push).toMatchObject({
      state: 'refused',
      entries: 0,
      problem: expect.stringMatching(/^The peer refused the push\. .*"ada".*registered as "laptop"/),
    });
    expect(sent).toHaveLength(3);
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 0 });
    expect(client.pushes.records().get(peer.peerId)).toMatchObject({ pushState: 'refused' });
    peer.member = { userId: 'ada', deviceId: 'laptop-x86_64' };
    expect((await pushRound(client, peer)).push).toMatchObject({ state: 'ok', entries: 3 });
    expect(client.pushes.records().get(peer.peerId)).toMatchObject({
      pushState: 'ok',
      pushProblem: undefined,
    });
  });

  test('is repeated with less when the peer could not store it in time', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(100, 'laptop', 20_000));
    peer.intercept = ({ jsonBytes }) => (jsonBytes > 1_200_000 ? { answer: { ok: false } } : undefined);
    expect((await pushRound(client, peer)).push).toMatchObject({ state: 'ok', entries: 100 });
    expect(peer.entries).toHaveLength(100);
  });

  test('has no consequence with a peer that accepts no pushes', async () => {
    const [client, peer] = [await startPusher(), await startPushTarget({ encodings: [] })];
    client.store.insert(makeEntries(3));
    const { report, push } = await pushRound(client, peer);
    expect(report?.error).toBeUndefined();
    expect(push).toMatchObject({
      state: 'unsupported',
      problem: expect.stringContaining('accepts no pushes'),
    });
  });

  test('is repeated over a new connection when it was cut, and everything arrives once', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    let cuts = 2;
    peer.intercept = () => ((cuts -= 1) >= 0 ? 'cut' : undefined);
    const { push, sent } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'ok', entries: 3 });
    expect(sent).toHaveLength(3);
    expect(idsOf(peer.entries)).toEqual(['laptop-0', 'laptop-1', 'laptop-2']);
  });

  test('is halved while it is too large for the peer', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(64, 'laptop', 50_000));
    peer.intercept = ({ jsonBytes }) => (jsonBytes > 200_000 ? 'cut' : undefined);
    const { push } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'ok', entries: 64 });
    expect(peer.entries).toHaveLength(64);
  });

  test('fails after three attempts when a small one is always cut', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    peer.intercept = () => 'cut';
    const { push, sent, report } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'failed', problem: expect.stringContaining('closed the stream') });
    expect(sent).toHaveLength(3);
    expect(report?.error).toBeUndefined();
  });

  test('moves nothing when the peer never answers', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    peer.intercept = () => 'silence';
    const { push } = await pushRound(client, peer, { idleTimeoutMs: 300 });
    expect(push).toMatchObject({ state: 'failed', problem: expect.stringContaining('did not answer') });
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 0 });
  });

  test.each([
    ['no field ok', {}],
    ['another type', { ok: 'yes' }],
    ['more than 64 KiB', { ok: true, filler: 'x'.repeat(70_000) }],
  ])('moves nothing after an answer with %s', async (_, answer) => {
    const [client, peer] = [await startPusher(), await startPushTarget({ encodings: ['json'] })];
    client.store.insert(makeEntries(3));
    peer.intercept = () => ({ answer });
    const { push, sent } = await pushRound(client, peer);
    expect(push).toMatchObject({ state: 'failed', entries: 0 });
    expect(sent).toHaveLength(1);
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 0 });
  });

  test('keeps what was acknowledged before', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(30));
    peer.intercept = () => (peer.pushes.length > 2 ? { answer: { ok: false } } : undefined);
    expect((await pushRound(client, peer, { limit: 10 })).push).toMatchObject({
      state: 'refused',
      entries: 20,
    });
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 20 });
  });
});

test('the owner of the tests is that of their entries', () => {
  expect(makeEntries(1)).toMatchObject([{ user_id: OWNER.userId, device_id: OWNER.deviceId }]);
});

function makeEntriesOf(device: string) {
  return { ...makeEntries(1, device)[0], ts: [2025, 1, 0, 0, 0, 0, 0, 0, 0] };
}
