// Peer ids in messages: multihashes, and their canonical text.
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { base58btc } from 'multiformats/bases/base58';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import type { PeerIdentity } from './connection.ts';

/** The multihash of an Ed25519 key before its 32 bytes: the identity hash of the key in libp2p's protobuf encoding. */
const ED25519_PREFIX = Buffer.from('002408011220', 'hex');
const ED25519_BYTES = ED25519_PREFIX.length + 32;

/** Maximum peer ids whose texts are kept, about 300 KiB. Above it the oldest one is forgotten. */
const MAX_KEPT_IDS = 1_024;

/**
 * Texts of peer ids by their bytes. The devices of a network connect and are asked for again and again, and base58 takes
 * twenty times as long as this.
 */
const keptIds = new Map<string, string>();

/** The text of a peer id. */
function textOf(multihash: Uint8Array): string {
  const key = Buffer.from(multihash.buffer, multihash.byteOffset, multihash.length).toString('latin1');
  const kept = keptIds.get(key);
  if (kept !== undefined) return kept;
  const id = base58btc.baseEncode(multihash);
  const oldest = keptIds.size >= MAX_KEPT_IDS ? keptIds.keys().next().value : undefined;
  if (oldest !== undefined) keptIds.delete(oldest);
  keptIds.set(key, id);
  return id;
}

/** The peer of a multihash in a message; `undefined` when it is not a peer id. */
export function parsePeer(multihash: Uint8Array): PeerIdentity | undefined {
  // Almost every device has such a key. The library parses it, which costs ten times as much as the text.
  if (isEd25519(multihash)) return { id: textOf(multihash), multihash };
  try {
    return { id: peerIdFromMultihash(decodeMultihash(multihash)).toString(), multihash };
  } catch {
    return undefined;
  }
}

function isEd25519(multihash: Uint8Array): boolean {
  return (
    multihash.length === ED25519_BYTES && ED25519_PREFIX.compare(multihash, 0, ED25519_PREFIX.length) === 0
  );
}
