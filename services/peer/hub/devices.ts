// When the hub last heard of each device: a push that was stored, a pull that was served, or a pull from the device. It is
// kept in the database, so that a device that is silent for days is still known after a restart of the hub.
import type { Logger } from '../../shared/log.ts';
import { describeError } from '../../shared/errors.ts';
import type { Database } from '../history/database.ts';

/** Time after which a silent device is forgotten, in seconds: 30 days. It has been given away, or renamed. */
const FORGOTTEN_SECONDS = 30 * 24 * 60 * 60;

/** Maximum devices that are remembered; the longest silent one is forgotten first. No user has that many. */
const MAX_DEVICES = 256;

/** Minimum time between two writes for one device, in seconds, because devices sync every minute. */
const WRITE_INTERVAL_SECONDS = 60;

/**
 * Minimum time between two writes for any devices, in seconds. Each write waits for the disk, and all devices of a user may
 * come in the same second.
 */
const WRITE_PAUSE_SECONDS = 1;

export interface HeardDevices {
  /** The hub has just heard of this device. */
  heard(deviceId: string): void;
  /** Seconds since the hub heard of each device of the last 30 days. */
  silentSeconds(): number[];
  /** The age in seconds of the entry of this device that was stored last; `undefined` when there is none. */
  lagSeconds(deviceId: string): number | undefined;
}

export interface HeardDevicesDeps {
  readonly database: Database;
  readonly log: Logger;
  readonly nowUnixSeconds: () => number;
}

export function createHeardDevices({ database, log, nowUnixSeconds }: HeardDevicesDeps): HeardDevices {
  const { sqlite } = database;
  const statements = database.read(() => ({
    all: sqlite.prepare('SELECT device_id, heard_at FROM rustory_p2p_heard_devices LIMIT ?'),
    save: sqlite.prepare(
      `INSERT INTO rustory_p2p_heard_devices(device_id, heard_at) VALUES (?, ?)
       ON CONFLICT(device_id) DO UPDATE SET heard_at = excluded.heard_at`,
    ),
    // By the index of devices, whose rows are in order of their numbers.
    last: sqlite.prepare('SELECT ts FROM entries WHERE device_id = ? ORDER BY ingest_seq DESC LIMIT 1'),
    remove: sqlite.prepare('DELETE FROM rustory_p2p_heard_devices WHERE device_id = ?'),
  }));
  const heardAt = new Map<string, number>(
    database.read(() =>
      statements.all.all(MAX_DEVICES).map((row) => [String(row['device_id']), Number(row['heard_at'])]),
    ),
  );
  const written = new Map(heardAt);
  let writtenAt = -Infinity;

  /** Writes what is due. What is not written in the pause is written with the next device. */
  function save(now: number): void {
    if (Math.abs(now - writtenAt) < WRITE_PAUSE_SECONDS) return;
    const due = [...heardAt].filter(([deviceId, at]) => {
      const before = written.get(deviceId);
      return before === undefined || Math.abs(at - before) >= WRITE_INTERVAL_SECONDS;
    });
    if (due.length === 0) return;
    writtenAt = now;
    try {
      // A wait would stop everything in this process, also pushes that must be answered.
      const { ok } = database.writeNow(() => {
        for (const [deviceId, at] of due) statements.save.run(deviceId, at);
        for (const forgotten of written.keys()) if (!heardAt.has(forgotten)) statements.remove.run(forgotten);
      });
      if (!ok) return;
      for (const [deviceId, at] of due) written.set(deviceId, at);
      for (const known of written.keys()) if (!heardAt.has(known)) written.delete(known);
    } catch (error) {
      // The disk is full. This process still knows it.
      log.debug({ devices: due.length, error: describeError(error) }, 'times of devices not stored');
    }
  }

  function forget(now: number): void {
    // A time in the future is that of a clock that was wrong.
    for (const [deviceId, at] of heardAt) if (now - at > FORGOTTEN_SECONDS) heardAt.delete(deviceId);
    if (heardAt.size <= MAX_DEVICES) return;
    const [oldest] = [...heardAt].toSorted(([, a], [, b]) => a - b);
    if (oldest !== undefined) heardAt.delete(oldest[0]);
  }

  return {
    heard(deviceId) {
      const now = nowUnixSeconds();
      heardAt.set(deviceId, now);
      forget(now);
      save(now);
    },
    silentSeconds() {
      const now = nowUnixSeconds();
      return [...heardAt.values()]
        .map((at) => Math.max(0, now - at))
        .filter((seconds) => seconds <= FORGOTTEN_SECONDS);
    },
    lagSeconds(deviceId) {
      const ts = database.read(() => statements.last.get(deviceId)?.['ts']);
      // The clock of a device may be ahead.
      return ts === undefined ? undefined : Math.max(0, nowUnixSeconds() - Number(ts));
    },
  };
}
