// The names of the keys of the registry in Redis, and the slots of a Cluster that they belong to.

export const ALL_KEY = 'rustory:all';
// A user id never contains NUL. The keys match a pattern that the ACL of an older version permits.
export const RELAYED_KEY = 'rustory:user:\0relayed';
export const CIRCUITS_KEY = 'rustory:user:\0circuits';
export const SINGLE_KEY = 'rustory:user:\0single';
export const HUB_USERS_KEY = 'rustory:user:\0hubs';
export const hubsKey = (userId: string): string => `rustory:user:\0hubs:${userId}`;
export const CONFLICTS_KEY = 'rustory:conflicts';
export const userKey = (userId: string): string => `rustory:user:${userId}`;
export const peerKey = (peerId: string): string => `rustory:peer:${peerId}`;
export const claimsKey = (key: string): string => `rustory:claims:${key}`;
export const holdKey = (peerId: string): string => `rustory:hold:${peerId}`;
export const holdsKey = (userId: string): string => `rustory:holds:${userId}`;

const SLOTS = 16_384;

/** The polynomial of CRC-16/XMODEM. */
const POLYNOMIAL = 0x1021;

/** The slot of a key without a hash tag. */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}
