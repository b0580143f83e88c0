// Peer ids for tests: valid Ed25519 ids without private keys.
import { randomBytes } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';

/** Identity multihash of a protobuf Ed25519 public key, up to the key itself. */
const ED25519_PREFIX = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

export function peerIds(count: number): string[] {
  return Array.from({ length: count }, () =>
    base58btc.encode(new Uint8Array([...ED25519_PREFIX, ...randomBytes(32)])).slice(1),
  );
}
