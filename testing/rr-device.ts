// A device of `rr` with its history and its cursors, which belong to a peer id and never move back; written from what released
// clients do, and without the code of the peer. It syncs with one peer as `p2p-sync --push` does, and serves nobody.
import type { PushClient } from './push-client.ts';
import { startPushClient } from './push-client.ts';
import type { SwarmKey } from '../services/private-network/key.ts';
import { type WireDeletion, wireDeletion, type WireEntry, wireEntries } from './wire-entries.ts';

/** Entries of one request, in both directions. */
const LIMIT = 200;

export interface RrDevice {
  readonly deviceId: string;
  /** Adds commands of this device. */
  record(count: number): void;
  /** Deletes a command of this device by its position. Not for 0.1. */
  remove(position: number): void;
  /** Pulls from the peer at an address that ends in its peer id, then pushes to it. */
  sync(address: string): Promise<void>;
  /** The ids of all entries, sorted; an entry that was stored twice is there twice. */
  ids(): string[];
}

export interface RrDeviceOptions {
  readonly swarmKey: SwarmKey;
  readonly deviceId: string;
  /** Default 1.x. Devices of 0.1 have a new identity at each sync, are never registered, and do not know deletions. */
  readonly isVersion01?: boolean;
  /** Called with each new client that has to be a member. */
  readonly register?: (client: PushClient) => Promise<void>;
}

interface Cursors {
  pulled: number;
  pulledDeletions: number;
  pushed: number;
  pushedDeletions: number;
}

export async function createRrDevice(options: RrDeviceOptions): Promise<RrDevice> {
  const { swarmKey, deviceId, isVersion01 = false, register } = options;
  /** In the order of arrival: the number of a row is its position plus one. `undefined` is a deleted row. */
  const rows: Array<WireEntry | undefined> = [];
  const deletions: WireDeletion[] = [];
  const cursors = new Map<string, Cursors>();
  let recorded = 0;
  const own = isVersion01 ? undefined : await startPushClient({ swarmKey });
  if (own !== undefined) await register?.(own);

  function insert(entry: WireEntry): void {
    const isKnown = rows.some((row) => row?.entry_id === entry.entry_id);
    const isDeleted = deletions.some(({ entry_id: id }) => id === entry.entry_id);
    if (!isKnown && !isDeleted) rows.push(entry);
  }

  function insertDeletion(deletion: WireDeletion): void {
    if (deletions.some(({ entry_id: id }) => id === deletion.entry_id)) return;
    deletions.push(deletion);
    const index = rows.findIndex((row) => row?.entry_id === deletion.entry_id);
    if (index !== -1) rows[index] = undefined;
  }

  type Connection = Awaited<ReturnType<PushClient['connect']>>;

  async function pull(client: PushClient, connection: Connection, at: Cursors): Promise<void> {
    for (;;) {
      const answer = await client.pull(connection, {
        cursor: at.pulled,
        limit: LIMIT,
        ...(isVersion01 ? {} : { delete_cursor: at.pulledDeletions }),
      });
      const deleted = isVersion01 ? [] : (answer.deletions ?? []);
      if (answer.entries.length + deleted.length === 0) return;
      deleted.forEach(insertDeletion);
      answer.entries.forEach(insert);
      at.pulled = Math.max(at.pulled, answer.next_cursor ?? 0);
      at.pulledDeletions = Math.max(at.pulledDeletions, answer.next_delete_cursor ?? 0);
    }
  }

  async function push(client: PushClient, connection: Connection, at: Cursors): Promise<void> {
    for (;;) {
      const entries: WireEntry[] = [];
      let last = at.pushed;
      for (; last < rows.length && entries.length < LIMIT; last += 1) {
        const row = rows[last];
        if (row !== undefined && row['device_id'] === deviceId) entries.push(row);
      }
      const deleted = isVersion01
        ? []
        : deletions.slice(at.pushedDeletions).filter(({ device_id: id }) => id === deviceId);
      const lastDeletion = deletions.length;
      if (entries.length + deleted.length > 0) {
        const answer = await client.push(connection, {
          entries,
          ...(isVersion01 ? {} : { deletions: deleted }),
        });
        if (!answer.ok) throw new Error(`The push of ${deviceId} was refused.`);
      }
      Object.assign(at, { pushed: last, pushedDeletions: lastDeletion });
      if (last >= rows.length) return;
    }
  }

  return {
    deviceId,
    record(count) {
      rows.push(...wireEntries(deviceId, count, { first: recorded }));
      recorded += count;
    },
    remove: (position) => insertDeletion(wireDeletion(deviceId, position)),
    async sync(address) {
      const client = own ?? (await startPushClient({ swarmKey }));
      const peerId = address.slice(address.lastIndexOf('/') + 1);
      const at = cursors.get(peerId) ?? { pulled: 0, pulledDeletions: 0, pushed: 0, pushedDeletions: 0 };
      cursors.set(peerId, at);
      const connection = await client.connect(address);
      try {
        await pull(client, connection, at);
        await push(client, connection, at);
      } finally {
        await connection.close();
        if (own === undefined) await client.stop();
      }
    },
    ids: () => rows.flatMap((row) => row?.entry_id ?? []).toSorted(),
  };
}
