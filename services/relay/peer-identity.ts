// Peer ids in messages: multihashes, and their canonical text.
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import type { PeerIdentity } from './connection.ts';

/** The peer of a multihash in a message; `undefined` when it is not a peer id. */
export function parsePeer(multihash: Uint8Array): PeerIdentity | undefined {
  try {
    return { id: peerIdFromMultihash(decodeMultihash(multihash)).toString(), multihash };
  } catch {
    return undefined;
  }
}
