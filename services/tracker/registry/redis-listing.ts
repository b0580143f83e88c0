// Listings of the registry in Redis.
import { pageById } from './page-by-id.ts';
import { ALL_KEY, peerKey, userKey } from './redis-keys.ts';
import { decodeEntries, decodeRecord } from './redis-records.ts';
import { inBackground, type Store } from './redis-store.ts';
import type { ListedPeer, ListQuery, Page } from './registry.ts';

/** Maximum records of one MGET and index entries of one repair script, so that other clients are not delayed. */
const CHUNK = 1_000;

export async function list(store: Store, { userId, limit, after }: ListQuery): Promise<Page> {
  const { client, roundTrip } = store;
  const key = userId === undefined ? ALL_KEY : userKey(userId);
  const [flat] = await roundTrip([client.zrange(key, '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES')]);
  const entries = decodeEntries(flat);
  const { shown, next } =
    limit === undefined ? { shown: entries, next: undefined } : pageById(entries, limit, after);
  const records = await readRecords(
    store,
    shown.map(({ peerId }) => peerKey(peerId)),
  );
  const peers: ListedPeer[] = [];
  const vanished: string[] = [];
  for (const [index, entry] of shown.entries()) {
    const record = records[index];
    const found = typeof record === 'string' ? decodeRecord(record) : undefined;
    if (found !== undefined && (userId === undefined || found.userId === userId))
      peers.push({ ...entry, json: found.json });
    else vanished.push(entry.peerId, String(entry.seenUnixMicros));
  }
  repair(store, key, vanished);
  return next === undefined ? { peers } : { peers, next };
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
