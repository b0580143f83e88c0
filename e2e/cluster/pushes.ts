// How far a device outside the cluster has pushed, from its database.
import { DatabaseSync } from 'node:sqlite';
import type { Device } from './devices.ts';

export interface Pushes {
  /** Entries of the device that this peer acknowledged. */
  readonly acknowledged: number;
  readonly recorded: number;
}

export function pushesTo({ database, name }: Device, peerId: string): Pushes {
  const opened = new DatabaseSync(database, { readOnly: true, timeout: 5_000 });
  try {
    const row = opened
      .prepare(
        `SELECT count(*) AS recorded, count(*) FILTER (WHERE ingest_seq <= last_pushed_seq) AS acknowledged
         FROM entries LEFT JOIN peer_push_state ON peer_id = ? WHERE device_id = ?`,
      )
      .get(peerId, name);
    return { acknowledged: Number(row?.['acknowledged']), recorded: Number(row?.['recorded']) };
  } finally {
    opened.close();
  }
}
