// Finds identities that two devices use. Each registration claims a device id and a hostname for its peer id, and the
// peer id for its device id. Claims are kept for some minutes. Two claimants of the same thing whose claims alternate
// are two devices; a device that was renamed or installed again changes its claim once and does not return to the old
// one. Pure functions; both registries store the claims.
import { hash } from 'node:crypto';
import type { Registration } from './registry.ts';

/** Kinds of conflicts, as metric labels; docs/metrics.md shows the sentences. */
export const CONFLICT_KINDS = {
  device_id: {
    doc: 'Registrations with one peer id alternate between device ids: an identity key was copied to another device. Delete the key on one of them.',
  },
  hostname: {
    doc: 'Registrations with one peer id alternate between hostnames: an identity key was copied to another device. Delete the key on one of them.',
  },
  peer_id: {
    doc: 'Two devices of one user have the same device id, so they never sync with each other. Change the device id of one of them.',
  },
} as const satisfies Record<string, { readonly doc: string }>;

export type ConflictKind = keyof typeof CONFLICT_KINDS;

/** Two or more devices that use one identity. */
export interface Conflict {
  readonly kind: ConflictKind;
  /** What they have in common: the peer id, or the device id for `peer_id`. */
  readonly subject: string;
  readonly userId: string | null;
  /** What they differ in, sorted. */
  readonly claimants: readonly string[];
}

/**
 * Seconds after which a claim that is not repeated is forgotten. Devices register every 30 seconds, and after a copied
 * key is deleted or a renamed device gets its old name back, its mark should not stay for long.
 */
export const CLAIM_SECONDS = 300;

/** Seconds for which the status page shows a conflict after a registration was part of it. */
export const REPORT_SECONDS = 120;

/** Maximum conflicts that are reported at the same time. Above this limit the oldest are dropped. */
export const MAX_REPORTS = 1_000;

/**
 * Maximum claims with one key. Above this limit new claims are not stored. Replacing old ones would let more devices
 * than this, each in its turn, replace the claim of the next one before it is repeated, and no two would alternate.
 */
export const MAX_CLAIMS_PER_KEY = 16;

/**
 * Peers for each key of the claims of peers, and for each key of the claims of devices. The number of keys is fixed, so
 * that clients that invent peer ids and device ids cannot fill the memory. Each peer has at most two claims of the first
 * kind and one of the second, so at the maximum number of peers a key has four claims on average.
 */
const PEERS_PER_KEY = { peer: 2, device: 4 } as const;

/** Maximum length of a claimed text in characters. Of a longer one the end is replaced by a hash. */
const MAX_TEXT_LENGTH = 64;

/** Length of a digest, in hexadecimal digits: 96 bits of a hash. */
export const DIGEST_LENGTH = 24;

/** The claims of a registration that are stored with one key. */
export interface ClaimSet {
  /** Whose claims they are, with the number of the key. */
  readonly of: keyof typeof PEERS_PER_KEY;
  readonly number: number;
  /** Both as a text. */
  readonly key: string;
  readonly claims: readonly Claim[];
}

export interface Claim {
  readonly kind: ConflictKind;
  readonly subject: string;
  /** A digest of whatever the claim is about. Claims with the same digest and kind exclude each other. */
  readonly digest: string;
  /** What is claimed. */
  readonly text: string;
  /** The text that is stored in Redis: claims with the same start, up to the NUL, exclude each other. */
  readonly field: string;
}

/** When a claim was made first and last, in microseconds. */
export interface ClaimTimes {
  readonly firstUnixMicros: number;
  readonly lastUnixMicros: number;
}

/**
 * The claims of a registration. What it leaves empty is not claimed.
 *
 * @param maxPeers maximum number of peers, from which the number of keys follows
 */
export function claimsOf(
  { peerId, userId, deviceId, hostname }: Pick<Registration, 'peerId' | 'userId' | 'deviceId' | 'hostname'>,
  maxPeers: number,
): ClaimSet[] {
  const ofPeer: Claim[] = [];
  const peerDigest = digestOf([peerId]);
  const claim = (kind: ConflictKind, claimed: string): void => {
    const text = boundedText(claimed);
    ofPeer.push({ kind, subject: peerId, digest: peerDigest, text, field: `${peerDigest}${kind}\0${text}` });
  };
  if (deviceId !== null) claim('device_id', baseDeviceId(deviceId));
  if (hostname !== null) claim('hostname', baseHostname(hostname));
  if (ofPeer.length === 0) return [];
  const sets = [setOf('peer', peerDigest, ofPeer, maxPeers)];
  if (deviceId === null) return sets;
  const digest = digestOf([userId, deviceId]);
  const field = `${digest}\0${peerId}`;
  const ofDevice: Claim = { kind: 'peer_id', subject: deviceId, digest, text: peerId, field };
  return [...sets, setOf('device', digest, [ofDevice], maxPeers)];
}

/** Number of keys of the claims of peers or devices. */
export function countKeys(of: ClaimSet['of'], maxPeers: number): number {
  return Math.ceil(maxPeers / PEERS_PER_KEY[of]);
}

function setOf(of: ClaimSet['of'], digest: string, claims: readonly Claim[], maxPeers: number): ClaimSet {
  const number = Number.parseInt(digest.slice(0, 8), 16) % countKeys(of, maxPeers);
  return { of, number, key: `${of}:${number}`, claims };
}

function digestOf(values: readonly (string | null)[]): string {
  return hash('sha256', JSON.stringify(values), 'hex').slice(0, DIGEST_LENGTH);
}

function boundedText(text: string): string {
  if (Buffer.byteLength(text) <= MAX_TEXT_LENGTH) return text;
  const start = Buffer.from(text).subarray(0, MAX_TEXT_LENGTH - DIGEST_LENGTH - 3);
  // An incomplete character at the end would be replaced by three bytes.
  return `${start.toString('utf8').replace(/\uFFFD$/, '')}…${digestOf([text])}`;
}

/** The device id without the suffix of its architecture, because `rr` compares it so. */
function baseDeviceId(deviceId: string): string {
  return deviceId.replace(/[-_](?:x86_64|aarch64|arm64)$/, '');
}

/** The hostname without case and without the suffix that macOS adds in some networks only. */
function baseHostname(hostname: string): string {
  return hostname.toLowerCase().replace(/\.local\.?$/, '');
}

/**
 * The conflicts of a registration: claims that another claim alternates with, because each of the two was made both
 * before and after the other.
 *
 * @param stored all claims with the key, by field, with those of the registration
 */
export function conflictsOf(
  { claims }: ClaimSet,
  stored: ReadonlyMap<string, ClaimTimes>,
  userId: string | null,
): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const { kind, subject, field } of claims) {
    const own = stored.get(field);
    if (own === undefined) continue;
    const group = groupOf(field);
    const others = [...stored].filter(
      ([other, times]) => other !== field && other.startsWith(group) && alternate(own, times),
    );
    if (others.length === 0) continue;
    const claimants = [field, ...others.map(([other]) => other)].map((each) => each.slice(group.length));
    conflicts.push({ kind, subject, userId, claimants: claimants.toSorted() });
  }
  return conflicts;
}

/** The start of a claim: claims with the same start exclude each other. */
export function groupOf(field: string): string {
  return field.slice(0, field.indexOf('\0') + 1);
}

function alternate(a: ClaimTimes, b: ClaimTimes): boolean {
  return a.firstUnixMicros < b.lastUnixMicros && b.firstUnixMicros < a.lastUnixMicros;
}
