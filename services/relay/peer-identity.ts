// Peer ids in messages: multihashes, and their canonical text.
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { base58btc } from 'multiformats/bases/base58';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import type { PeerIdentity } from './connection.ts';

/** The multihash of an Ed25519 key before its 32 bytes: the identity hash of the key in libp2p's protobuf encoding. */
const ED25519_PREFIX = Buffer.from('002408011220', 'hex');
const ED25519_BYTES = ED25519_PREFIX.length + 32;

/** The peer of a multihash in a message; `undefined` when it is not a peer id. */
export function parsePeer(multihash: Uint8Array): PeerIdentity | undefined {
  // Almost every device has such a key. The library parses it, which costs ten times as much as the text.
  if (isEd25519(multihash)) return { id: base58btc.baseEncode(multihash), multihash };
  try {
    return { id: peerIdFromMultihash(decodeMultihash(multihash)).toString(), multihash };
  } catch {
    return undefined;
  }
}

function isEd25519(multihash: Uint8Array): boolean {
  return multihash.length === ED25519_BYTES && ED25519_PREFIX.every((byte, at) => byte === multihash[at]);
}
