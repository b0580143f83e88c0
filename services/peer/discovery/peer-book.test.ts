import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { type Database, openDatabase } from '../history/database.ts';
import { createPeerBook, type KnownPeer, MAX_PEER_BOOK, type PeerBook } from './peer-book.ts';

const DAY_SECONDS = 86_400;

let database: Database;
let peerBook: PeerBook;
let now = 0;

beforeEach(() => {
  now = 1_800_000_000;
  database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  peerBook = createPeerBook(database, () => now);
});

afterEach(cleanUp);

const peer = (peerId: string, lastSeenUnixSeconds: number): KnownPeer => ({
  peerId,
  addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${peerId}`],
  userId: 'ada',
  deviceId: peerId,
  hostname: undefined,
  lastSeenUnixSeconds,
});

const fakes = (count: number, name: string): KnownPeer[] =>
  Array.from({ length: count }, (_, n) => peer(`${name}-${n}`, now));

const rows = (): number =>
  Number(database.sqlite.prepare('SELECT count(*) AS n FROM peer_book').get()?.['n']);

function setCursor(peerId: string): void {
  database.sqlite.prepare('INSERT INTO peer_state(peer_id, last_cursor) VALUES (?, 1)').run(peerId);
}

describe('the peer book', () => {
  test('has a maximum number of records, also under ever new peer ids', () => {
    for (let round = 0; round < 5; round += 1) peerBook.remember(fakes(1_200, `round-${round}`));
    expect(rows()).toBe(MAX_PEER_BOOK);
  });

  test('keeps a device that was synced with, however many others were seen later', () => {
    peerBook.remember([peer('mine', now - 3_600)]);
    setCursor('mine');
    for (let round = 0; round < 3; round += 1) peerBook.remember(fakes(1_200, `round-${round}`));
    expect(peerBook.recall('ada', now - DAY_SECONDS, 5)[0]).toEqual(peer('mine', now - 3_600));
  });

  test('removes records of other devices after seven days, and keeps devices that were synced with', () => {
    peerBook.remember([peer('fake', now), peer('mine', now)]);
    setCursor('mine');
    now += 8 * DAY_SECONDS;
    peerBook.remember([peer('other', now)]);
    expect(peerBook.find('fake')).toBeUndefined();
    expect(peerBook.find('mine')).toBeDefined();
    expect(peerBook.recall('ada', now - 7 * DAY_SECONDS, 9).map(({ peerId }) => peerId)).toEqual(['other']);
  });

  test('stores a time in the future as the present', () => {
    peerBook.remember([peer('a', now + 1_000_000)]);
    expect(peerBook.recall('ada', 0, 9)).toEqual([peer('a', now)]);
  });

  test('replaces a record with a time in the future, which an earlier version or rr has stored', () => {
    peerBook.remember([peer('a', now)]);
    database.sqlite.exec(`UPDATE peer_book SET last_seen = ${now * 1_000}, addrs_json = '["/wrong"]'`);
    now += 1;
    peerBook.remember([peer('a', now)]);
    expect(peerBook.recall('ada', 0, 9)).toEqual([peer('a', now)]);
  });

  test('is not emptied by a clock that is years ahead', () => {
    peerBook.remember([peer('a', now)]);
    const listedByTracker = now + 60;
    now += 3_650 * DAY_SECONDS;
    peerBook.remember([peer('b', listedByTracker)]);
    expect(rows()).toBe(2);
  });
});
