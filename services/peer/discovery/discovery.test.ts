import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { type Database, openDatabase } from '../history/database.ts';
import { discover } from './discovery.ts';
import { createPeerBook, type KnownPeer, type PeerBook } from './peer-book.ts';
import { type PeerList, type TrackerClient, TrackerError } from './tracker-client.ts';

const NOW_UNIX_SECONDS = 1_000_000;

const ACCEPTED = { ttlSeconds: 60 };

let database: Database;
let peerBook: PeerBook;

beforeEach(() => {
  database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  peerBook = createPeerBook(database, () => NOW_UNIX_SECONDS);
});

afterEach(cleanUp);

const peer = (
  peerId: string,
  lastSeenUnixSeconds: number,
  address = `/ip4/10.0.0.1/tcp/1/p2p/${peerId}`,
): KnownPeer => ({
  peerId,
  addresses: [address],
  userId: 'ada',
  deviceId: peerId,
  hostname: undefined,
  lastSeenUnixSeconds,
});

/** A tracker with this function for its listings. */
function trackerThat(list: () => Promise<PeerList>, url = 'http://tracker.lan'): TrackerClient {
  return { url, register: async () => ACCEPTED, unregister: async () => {}, list };
}

const trackerWith = (...peers: KnownPeer[]): TrackerClient =>
  trackerThat(async () => ({ peers, skipped: 0 }));
const failing = trackerThat(async () => {
  throw new TrackerError('The tracker http://tracker.lan did not respond within 5000 ms.');
});

const find = async (...trackers: TrackerClient[]) =>
  discover({ trackers, peerBook, userId: 'ada', ownPeerId: 'me', nowUnixSeconds: () => NOW_UNIX_SECONDS });

const trackerAt = (url: string, ...peers: KnownPeer[]): TrackerClient =>
  trackerThat(async () => ({ peers, skipped: 0 }), url);
const addressesFrom = async (...trackers: TrackerClient[]) => (await find(...trackers)).peers[0]?.addresses;

const peerIds = (peers: readonly KnownPeer[]): string[] => peers.map(({ peerId }) => peerId);

describe('discovery', () => {
  test('merges the lists of all trackers, keeps the newest records and omits this device', async () => {
    const one = trackerWith(peer('a', 10, '/old'), peer('me', 99));
    const two = trackerWith(peer('a', 20, '/new'), peer('b', 5));
    const { peers, source } = await find(one, two);
    expect(peers).toEqual([peer('a', 20, '/new'), peer('b', 5)]);
    expect(source).toBe('trackers');
  });

  test('reports a tracker that fails and returns what the others list', async () => {
    const { peers, problems } = await find(failing, trackerWith(peer('a', 10)));
    expect(peerIds(peers)).toEqual(['a']);
    expect(problems).toEqual(['The tracker http://tracker.lan did not respond within 5000 ms.']);
  });

  test('reports how many peers of a list were skipped, which is not a failure of the tracker', async () => {
    const tracker = trackerThat(async () => ({ peers: [peer('a', 10)], skipped: 2 }));
    const { peers, problems, warnings } = await find(tracker);
    expect(peerIds(peers)).toEqual(['a']);
    expect(problems).toEqual([]);
    expect(warnings).toEqual([
      'The list of the tracker http://tracker.lan has 2 entries that are not valid. The other entries are used.',
    ]);
  });

  test('returns the peer book when no tracker responds', async () => {
    await find(trackerWith(peer('a', NOW_UNIX_SECONDS - 1_000)));
    const { peers, source } = await find(failing);
    expect(source).toBe('peer book');
    expect(peerIds(peers)).toEqual(['a']);
  });

  test('returns the peer book when a tracker has just started and lists no peers', async () => {
    await find(trackerWith(peer('a', NOW_UNIX_SECONDS - 1_000)));
    const { peers, problems } = await find(trackerWith());
    expect(peerIds(peers)).toEqual(['a']);
    expect(problems).toEqual([]);
  });

  test('ignores records of the peer book that are older than a week', async () => {
    await find(trackerWith(peer('a', NOW_UNIX_SECONDS - 8 * 86_400)));
    expect((await find(failing)).peers).toEqual([]);
  });

  test('waits for a slow tracker after another one has failed', async () => {
    const slow = Promise.withResolvers<PeerList>();
    const finding = find(
      trackerThat(async () => slow.promise),
      failing,
    );
    await new Promise(setImmediate);
    slow.resolve({ peers: [peer('a', 10)], skipped: 0 });
    expect((await finding).peers).toHaveLength(1);
  });

  test('keeps the addresses of a device that is listed without one by another tracker, later', async () => {
    const empty = { ...peer('a', 20), addresses: [] };
    expect((await find(trackerWith(empty), trackerWith(peer('a', 10, '/circuit')))).peers).toEqual([
      peer('a', 10, '/circuit'),
    ]);
    expect((await find(trackerWith(empty))).peers).toEqual([empty]);
  });

  test.each(['the database', 'a tracker'])('omits a peer that is revoked in %s', async (place) => {
    if (place === 'the database')
      database.sqlite.exec("INSERT INTO peer_revocations(peer_id, revoked_at) VALUES ('b', 1)");
    const revoked = place === 'a tracker' ? ['b'] : [];
    await find(trackerWith(peer('b', NOW_UNIX_SECONDS)));
    const other = trackerThat(async () => ({ peers: [peer('a', 10)], skipped: 0, revoked }));
    expect(peerIds((await find(trackerWith(peer('b', 20)), other)).peers)).toEqual(['a']);
    const empty = trackerThat(async () => ({ peers: [], skipped: 0, revoked }));
    expect(peerIds((await find(empty)).peers)).toEqual([]);
  });

  test('forgets a peer that a tracker lists as revoked, so that it is no longer a known device', async () => {
    await find(trackerWith(peer('a', 10), peer('b', 20)));
    await find(trackerThat(async () => ({ peers: [peer('a', 10)], skipped: 0, revoked: ['b', 'other'] })));
    expect(peerBook.find('a')).toMatchObject({ userId: 'ada' });
    expect(peerBook.find('b')).toBeUndefined();
  });

  test('takes a time in the future as the present, so that it hides no newer record', async () => {
    const future = peer('a', NOW_UNIX_SECONDS * 1_000, '/wrong');
    await find(trackerWith(future));
    await find(trackerWith(peer('a', NOW_UNIX_SECONDS, '/right')));
    const [found] = (await find(failing)).peers;
    expect(found).toEqual(peer('a', NOW_UNIX_SECONDS, '/right'));
  });

  test('adds the peers that are known to a list without its end, and says why', async () => {
    await find(trackerWith(peer('a', NOW_UNIX_SECONDS - 1_000)));
    const tracker = trackerThat(async () => ({
      peers: [peer('b', NOW_UNIX_SECONDS)],
      skipped: 0,
      incomplete: 'it has more than 256 pages',
    }));
    const { peers, warnings } = await find(tracker);
    expect(peerIds(peers)).toEqual(['b', 'a']);
    expect(warnings).toEqual([
      'The list of the tracker http://tracker.lan was not read completely: it has more than 256 pages. The next round continues.',
    ]);
  });

  test('omits loopback addresses unless a tracker that was reached by loopback lists them', async () => {
    const [loopback, lan] = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1'];
    const relay = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
    const circuit = `/ip4/127.0.0.1/tcp/4001/p2p/${relay}/p2p-circuit/p2p/a`;
    const listed = { ...peer('a', 20), addresses: [loopback, lan, circuit] };
    const remote = trackerAt('http://tracker.lan', listed);
    expect(await addressesFrom(remote)).toEqual([lan, `/p2p/${relay}/p2p-circuit/p2p/a`]);
    for (const url of ['http://127.0.0.1:8850', 'http://localhost:8850', 'http://[::1]:8850']) {
      expect(await addressesFrom(trackerAt(url, listed))).toEqual(listed.addresses);
      expect(await addressesFrom(remote, trackerAt(url, listed))).toEqual(listed.addresses);
      expect(
        await addressesFrom(
          remote,
          trackerAt(url, { ...listed, addresses: [loopback], lastSeenUnixSeconds: 1 }),
        ),
      ).toEqual([loopback, lan, `/p2p/${relay}/p2p-circuit/p2p/a`]);
    }
  });
});
