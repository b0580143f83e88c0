// Listings of the registry in Redis.
import { pageById } from './page-by-id.ts';
import { readHubs, readHubUsers } from './redis-hubs.ts';
import { ALL_KEY, hubsKey, peerKey, userKey } from './redis-keys.ts';
import { createKnownListings } from './redis-known-listings.ts';
import { decodeEntries, decodePeer, decodeRecord, type Entry } from './redis-records.ts';
import { inBackground, type Store } from './redis-store.ts';
import { createWholeCalls } from './redis-whole-calls.ts';
import type { ListQuery, Page, StarView } from './registry.ts';
import { isHubOf, starOf, type UserPeer } from './star.ts';

/** Maximum records of one MGET and index entries of one repair script, so that other clients are not delayed. */
const CHUNK = 1_000;

/** @param nowMs monotonic clock */
export function createListings(nowMs: () => number): (store: Store, query: ListQuery) => Promise<Page> {
  const whole = createWholeCalls(nowMs);
  const known = createKnownListings();
  return async (store, query) => {
    const { userId, star, limit } = query;
    if (star !== undefined || limit !== undefined) return list(store, query);
    const key = userId === undefined ? ALL_KEY : userKey(userId);
    const last = known.recall(key);
    const reply = await whole.send(store, () =>
      store.client.readListing(key, CHUNK, peerKey(''), last?.digest ?? ''),
    );
    if (reply === undefined || reply === null) return list(store, query);
    const belongs = (peer: UserPeer): boolean => userId === undefined || peer.userId === userId;
    return known.page(key, last, reply, (entries, records, decode) =>
      peersOf(store, key, entries, records, belongs, decode),
    );
  };
}

async function list(store: Store, query: ListQuery): Promise<Page> {
  const { userId, star } = query;
  if (userId === undefined) return listAll(store, query);
  if (star === undefined) return listUser(store, query, userId, await readIndex(store, userKey(userId)));
  const { client, roundTrip } = store;
  const [flat, hubs] = await roundTrip([readIds(store, userKey(userId)), readHubs(client, userId)]);
  const entries = decodeEntries(flat);
  const page = await listHubs(store, { ...query, star }, userId, decodeEntries(hubs), entries);
  return page ?? listUser(store, query, userId, entries);
}

/** @param entries all peers of the user, newest first */
async function listUser(
  store: Store,
  { limit, after }: ListQuery,
  userId: string,
  entries: readonly Entry[],
): Promise<Page> {
  const { shown, next } = pageOf(entries, { limit, after });
  const isOfUser = (peer: UserPeer): boolean => peer.userId === userId;
  const peers = await readPeers(store, userKey(userId), shown, isOfUser);
  return { peers, ...(next !== undefined && { next }) };
}

/** The hubs of a user, and the own record; `undefined` when the user has no live hub. Their number is small. */
async function listHubs(
  store: Store,
  { star, limit, after }: ListQuery & { readonly star: StarView },
  userId: string,
  hubEntries: readonly Entry[],
  entries: readonly Entry[],
): Promise<Page | undefined> {
  if (hubEntries.length === 0) return undefined;
  const hubIds = new Set(hubEntries.map(({ peerId }) => peerId));
  const own = entries.find(({ peerId }) => peerId === star.ownPeerId && !hubIds.has(peerId));
  // The record decides. An earlier version of the tracker writes records without the mark, and leaves the index.
  const [hubs, owns] = await Promise.all([
    readPeers(store, hubsKey(userId), hubEntries, (peer) => peer.userId === userId && peer.isHub === true),
    own === undefined ? [] : readPeers(store, userKey(userId), [own], (peer) => peer.userId === userId),
  ]);
  if (hubs.length === 0) return undefined;
  const newestFirst = [...hubs, ...owns].toSorted((a, b) => b.seenUnixMicros - a.seenUnixMicros);
  const listing = starOf(newestFirst, star);
  const { shown, next } = pageOf(listing.peers, { limit, after });
  return { ...listing, peers: shown, ...(next !== undefined && { next }) };
}

async function listAll(store: Store, { star, limit, after }: ListQuery): Promise<Page> {
  // The whole listing contains all hubs, so only a page requires the users that have one.
  const readsUsers = star !== undefined && limit !== undefined;
  const [flat, hubUsers] = await store.roundTrip([
    readIds(store, ALL_KEY),
    readsUsers ? readHubUsers(store) : undefined,
  ]);
  const { shown, next } = pageOf(decodeEntries(flat), { limit, after });
  const peers = await readPeers(store, ALL_KEY, shown, () => true);
  const live = hubUsers && (await usersWithHub(store, peers, new Set(hubUsers)));
  const listing = star === undefined ? { peers } : starOf(peers, star, live);
  return { ...listing, ...(next !== undefined && { next }) };
}

/**
 * The users of a page with a live hub, on any page. The record of the hub decides here too.
 *
 * @param candidates users that have a hub according to the index
 */
async function usersWithHub(
  store: Store,
  peers: readonly UserPeer[],
  candidates: ReadonlySet<string>,
): Promise<Set<string | null>> {
  const found = new Set(peers.filter(isHubOf).map(({ userId }) => userId));
  const unknown = [...new Set(peers.map(({ userId }) => userId))].filter(
    (userId): userId is string => userId !== null && candidates.has(userId) && !found.has(userId),
  );
  const indexes = await store.roundTrip(unknown.map(async (userId) => readHubs(store.client, userId)));
  const entries = indexes.flatMap(decodeEntries);
  const records = await readRecords(
    store,
    entries.map(({ peerId }) => peerKey(peerId)),
  );
  for (const record of records) {
    if (record === null) continue;
    const hub = decodeRecord(record);
    if (isHubOf(hub)) found.add(hub.userId);
  }
  return found;
}

function pageOf<Peer extends { readonly peerId: string }>(
  peers: readonly Peer[],
  { limit, after }: ListQuery,
): { readonly shown: readonly Peer[]; readonly next: string | undefined } {
  return limit === undefined ? { shown: peers, next: undefined } : pageById(peers, limit, after);
}

/** The ids and times of an index, newest first. */
function readIds({ client }: Store, key: string): Promise<string[]> {
  return client.zrange(key, '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES');
}

async function readIndex(store: Store, key: string): Promise<Entry[]> {
  const [flat] = await store.roundTrip([readIds(store, key)]);
  return decodeEntries(flat);
}

/** Reads the records of entries of an index, and repairs the index where the records do not belong to it. */
async function readPeers(
  store: Store,
  key: string,
  entries: readonly Entry[],
  belongs: (peer: UserPeer) => boolean,
): Promise<UserPeer[]> {
  const records = await readRecords(
    store,
    entries.map(({ peerId }) => peerKey(peerId)),
  );
  return peersOf(store, key, entries, records, belongs);
}

/** The peers of the records of an index. Repairs the index where the records do not belong to it. */
function peersOf(
  store: Store,
  key: string,
  entries: readonly Entry[],
  records: readonly (string | null)[],
  belongs: (peer: UserPeer) => boolean,
  decode: (entry: Entry, record: string) => UserPeer = decodePeer,
): UserPeer[] {
  const peers: UserPeer[] = [];
  const vanished: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const record = records[index];
    const found = typeof record === 'string' ? decode(entry, record) : undefined;
    if (found !== undefined && belongs(found)) peers.push(found);
    else vanished.push(entry.peerId, String(entry.seenUnixMicros));
  }
  repair(store, key, vanished);
  return peers;
}

async function readRecords({ client, roundTrip }: Store, keys: string[]): Promise<(string | null)[]> {
  if (keys.length === 0) return [];
  // In a Cluster, keys of different slots require one command each. The client pipelines the commands of each node.
  if (client.isCluster) return roundTrip(keys.map((key) => client.get(key)));
  const records: (string | null)[] = [];
  // One chunk after the other, because replies that wait in Redis count towards its maximum memory.
  for (const chunk of inChunks(keys, CHUNK)) records.push(...(await roundTrip([client.mget(chunk)]))[0]);
  return records;
}

/** Removes index entries whose record is gone, unless the peer registered again in the meantime. It is not awaited. */
function repair(store: Store, key: string, vanished: string[]): void {
  const chunks = inChunks(vanished, 2 * CHUNK).map((chunk) => store.client.repair(key, ...chunk));
  inBackground(store, 'index not repaired', chunks);
}

function inChunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
