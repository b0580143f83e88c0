// The identity of the hub. `rr` remembers per peer id how far it has pushed and pulled, and never goes back. So the peer id
// follows from the database: with a new or restored database the hub is another peer, with which every device syncs from
// the start, and what was stored before is dropped by its entry id.
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { deriveIdentity, identityFromSeed, readSecret } from '../../private-network/identity.ts';
import { groupRelays } from '../network/relays.ts';

/** Minimum length of the secret in bytes. Shorter secrets can be guessed and are rejected. */
const MIN_SECRET_BYTES = 16;

/** Minimum length of the seed of relays in bytes; a shorter secret is no such seed. */
const MIN_SEED_BYTES = 32;

/** Replicas of a relay that are compared with the secret; a release has a few. */
const MAX_REPLICAS = 32;

/** The first line of a swarm key. */
const SWARM_KEY_HEADER = '/key/swarm/psk';

/** Characters of the database id that are shown. They tell databases apart and do not help to guess the whole id. */
const SHOWN_CHARACTERS = 8;

/** Reads the secret of the hub. @throws Error that names the path and the reason, never the content */
export function readHubSecret(path: string): Uint8Array {
  const secret = readSecret(path, 'secret of the hub', MIN_SECRET_BYTES);
  if (Buffer.from(secret).toString('latin1').startsWith(SWARM_KEY_HEADER))
    throw new Error(
      `${path}: this is the swarm key, which every device has; create a secret for the hub with: openssl rand -hex 32.`,
    );
  return secret;
}

/** The identity of the hub of one user with one database. */
export async function hubIdentity(
  secret: Uint8Array,
  userId: string,
  databaseId: string,
): Promise<PrivateKey> {
  return deriveIdentity(secret, `hub/${userId}/${databaseId}`);
}

/**
 * Whether the secret is the seed of one of these relays. Whoever operates the relay would know the private key of the
 * hub, and one secret that leaks would give away both.
 */
export async function isSeedOf(secret: Uint8Array, relays: readonly string[]): Promise<boolean> {
  if (secret.length < MIN_SEED_BYTES) return false;
  const peerIds = new Set(groupRelays(relays).map(({ peerId }) => peerId));
  for (let ordinal = 0; peerIds.size > 0 && ordinal < MAX_REPLICAS; ordinal += 1) {
    const identity = await identityFromSeed(secret, ordinal);
    if (peerIds.has(peerIdFromPrivateKey(identity).toString())) return true;
  }
  return false;
}

/** The first characters of a database id, for logs and the terminal. */
export function shownId(databaseId: string): string {
  return databaseId.slice(0, SHOWN_CHARACTERS);
}
