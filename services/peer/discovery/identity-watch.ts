// Detects that two devices use one identity: their registrations replace each other, and each is reachable only part of
// the time. A device sees it when a tracker lists its own peer id with another device id, or with two hosts in turn. One
// sighting is no proof, because the record of a device that was renamed is listed until it expires.
import { z } from 'zod';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { Database } from '../history/database.ts';
import type { KnownPeer } from './peer-book.ts';

/** Minimum time between two sightings, in seconds. */
export const SIGHTING_DISTANCE_SECONDS = 30;

/** Time after which a sighting is forgotten, in seconds. */
const SIGHTING_LIFETIME_SECONDS = 600;

/** Maximum sightings that are kept: one for each device id and host. Further ones are ignored. */
const MAX_SIGHTINGS = 16;

/** Suffix of device ids of `rr`, which compares them without it. */
const ARCHITECTURE = /[-_](x86_64|aarch64|arm64)$/;

/** This device. */
export interface OwnIdentity {
  readonly peerId: string;
  readonly deviceId: string;
  readonly hostname: string;
}

export interface IdentityProblem {
  /** Whether the other device has registered again since the first sighting, so that a new name is no explanation. */
  readonly isCertain: boolean;
  /** Whole sentences: what is wrong and what to do. */
  readonly text: string;
}

export interface IdentityWatch {
  /** Call it with the record that a tracker lists for the own peer id. Returns whether it is of another device. */
  observe(record: KnownPeer): boolean;
  /** Call it when this device has registered. */
  registered(): void;
  /** The problem; `undefined` when there is none, or not yet. */
  problem(): IdentityProblem | undefined;
}

const sightingSchema = z.object({
  deviceId: z.string(),
  hostname: z.string(),
  /** Unix seconds by the clock of this machine. */
  first: z.number(),
  last: z.number(),
  /** `last_seen_unix` of the record at the first and at the last sighting. */
  firstRecord: z.number(),
  lastRecord: z.number(),
  /** Whether the record had this host again after it had another one. */
  isInTurn: z.boolean(),
});

type Sighting = z.infer<typeof sightingSchema>;

export interface IdentityWatchDeps {
  readonly own: OwnIdentity;
  readonly database: Database;
  readonly log: Logger;
  readonly nowUnixSeconds: () => number;
}

export function createIdentityWatch({
  own,
  database,
  log,
  nowUnixSeconds,
}: IdentityWatchDeps): IdentityWatch {
  const { peerId } = own;
  const store = createSightingStore(database, peerId);
  const sightings = new Map<string, Sighting>();
  /** The problem in the log, which is written once. */
  let logged = '';
  /** Time at which the record was last known to be that of this device. */
  let ownUnixSeconds = -Infinity;

  /** The sightings of this process and of others with this database, for example of the last `sync`. */
  function recall(): Sighting[] {
    try {
      for (const sighting of store.read()) sightings.set(keyOf(sighting), sighting);
    } catch (error) {
      log.debug({ error: describeError(error) }, 'sightings of the identity not read');
    }
    const now = nowUnixSeconds();
    for (const [key, { last }] of sightings)
      if (Math.abs(now - last) > SIGHTING_LIFETIME_SECONDS) sightings.delete(key);
    return [...sightings.values()];
  }

  function save(sighting: Sighting): void {
    sightings.set(keyOf(sighting), sighting);
    try {
      store.write(sighting, nowUnixSeconds() - SIGHTING_LIFETIME_SECONDS);
    } catch (error) {
      // Another process writes, or the disk is full. This process still knows it.
      log.debug({ error: describeError(error) }, 'sighting of the identity not stored');
    }
  }

  function findProblem(): IdentityProblem | undefined {
    const proofs = recall().filter(
      (sighting) =>
        isOther(sighting, own) &&
        sighting.last - sighting.first >= SIGHTING_DISTANCE_SECONDS &&
        (sighting.isInTurn || !isSameDevice(sighting.deviceId, own.deviceId)),
    );
    const proof = proofs.toSorted((a, b) => b.lastRecord - b.firstRecord - (a.lastRecord - a.firstRecord))[0];
    if (proof === undefined) return undefined;
    const isCertain = proof.lastRecord > proof.firstRecord;
    return { isCertain, text: describe(own, proof, isCertain) };
  }

  return {
    observe(record) {
      const now = nowUnixSeconds();
      const { deviceId = own.deviceId, hostname = own.hostname, lastSeenUnixSeconds } = record;
      const known = recall();
      if (!isOther({ deviceId, hostname }, own)) {
        ownUnixSeconds = now;
        // Stored only while another host was seen, so that a working device writes nothing.
        if (known.length === 0) return false;
      }
      const before = sightings.get(keyOf({ deviceId, hostname }));
      if (before === undefined && known.length >= MAX_SIGHTINGS) return true;
      const others = known.filter((other) => other !== before && !isSameHost(other.hostname, hostname));
      const lastOther = Math.max(
        isSameHost(hostname, own.hostname) ? -Infinity : ownUnixSeconds,
        ...others.map(({ last }) => last),
      );
      save({
        deviceId,
        hostname,
        first: before?.first ?? now,
        last: now,
        firstRecord: before?.firstRecord ?? lastSeenUnixSeconds,
        lastRecord: lastSeenUnixSeconds,
        isInTurn: before !== undefined && (before.isInTurn || lastOther >= before.first),
      });
      const text = findProblem()?.text ?? '';
      if (text !== '' && text !== logged) log.warn({ problem: text }, 'this identity is used twice');
      logged = text;
      return isOther({ deviceId, hostname }, own);
    },
    registered: () => void (ownUnixSeconds = nowUnixSeconds()),
    problem: findProblem,
  };
}

function describe(own: OwnIdentity, { deviceId, hostname }: Sighting, isCertain: boolean): string {
  const condition = isCertain ? '' : ', unless this device was renamed in the last minute';
  return (
    `This identity is used twice${condition}: a tracker lists the peer id ${own.peerId} as device ${JSON.stringify(deviceId)} ` +
    `on host ${JSON.stringify(hostname)}, and here it is device ${JSON.stringify(own.deviceId)} on host ${JSON.stringify(own.hostname)}. ` +
    'Each of the two is reachable only part of the time. On the one to which the identity was copied, delete the file p2p_identity_key_path and start again.'
  );
}

function isOther(record: { deviceId: string; hostname: string }, own: OwnIdentity): boolean {
  return !isSameDevice(record.deviceId, own.deviceId) || !isSameHost(record.hostname, own.hostname);
}

/** Compares device ids as `rr` does. */
export function isSameDevice(a: string, b: string): boolean {
  return a.replace(ARCHITECTURE, '') === b.replace(ARCHITECTURE, '');
}

/** Compares host names without their domain, which changes with the network. */
function isSameHost(a: string, b: string): boolean {
  return nameOf(a) === nameOf(b);
}

function nameOf(host: string): string {
  return host.toLowerCase().split('.')[0] ?? '';
}

function keyOf({ deviceId, hostname }: { deviceId: string; hostname: string }): string {
  return `${deviceId}\0${hostname}`;
}

function createSightingStore(database: Database, peerId: string) {
  const { sqlite } = database;
  const statements = database.read(() => ({
    read: sqlite.prepare(
      'SELECT sighting_json FROM rustory_p2p_identity_sightings WHERE peer_id = ? LIMIT ?',
    ),
    write: sqlite.prepare(
      `INSERT INTO rustory_p2p_identity_sightings(peer_id, device_id, hostname, sighting_json) VALUES (?, ?, ?, ?)
       ON CONFLICT(peer_id, device_id, hostname) DO UPDATE SET sighting_json = excluded.sighting_json`,
    ),
    prune: sqlite.prepare(
      `DELETE FROM rustory_p2p_identity_sightings WHERE json_extract(sighting_json, '$.last') < ?`,
    ),
  }));
  return {
    read: (): Sighting[] =>
      database.read(() =>
        statements.read.all(peerId, MAX_SIGHTINGS).flatMap((row) => parse(row['sighting_json']) ?? []),
      ),
    write: (sighting: Sighting, sinceUnixSeconds: number): void =>
      database.write(() => {
        statements.prune.run(sinceUnixSeconds);
        statements.write.run(peerId, sighting.deviceId, sighting.hostname, JSON.stringify(sighting));
      }),
  };
}

/** Another program may have written something else. */
function parse(json: unknown): Sighting | undefined {
  try {
    return sightingSchema.safeParse(JSON.parse(String(json))).data;
  } catch {
    return undefined;
  }
}
