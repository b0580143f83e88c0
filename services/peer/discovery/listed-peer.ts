// Validates one record of a tracker's list. What it returns is bounded, because a tracker may be another program.
import { peerIdFromString } from '@libp2p/peer-id';
import {
  acceptedPeerSchema,
  MAX_ADDR_BYTES,
  MAX_ADDRS,
  MAX_STRING_BYTES,
  stringProblem,
} from '../../shared/contract.ts';
import type { KnownPeer } from './peer-book.ts';

/** The `role` in the description of a hub. */
export const HUB_ROLE = 'hub';

/** The peer of a record; `undefined` when the record is not valid. Addresses that are too long are left out. */
export function readListedPeer(record: unknown): KnownPeer | undefined {
  const { data } = acceptedPeerSchema.safeParse(record);
  if (data === undefined) return undefined;
  const peerId = readPeerId(data.peer_id);
  if (peerId === undefined) return undefined;
  return {
    peerId,
    addresses: boundAddresses(data.addrs),
    userId: readLabel(data.meta?.user_id),
    deviceId: readLabel(data.meta?.device_id),
    hostname: readLabel(data.meta?.hostname),
    lastSeenUnixSeconds: Math.max(0, data.last_seen_unix),
    ...(data.meta?.role === HUB_ROLE && { isHub: true }),
  };
}

/** The peer ids of revocations: objects with a `peer_id`, or the ids themselves. Others are ignored. */
export function readRevokedIds(revocations: readonly unknown[]): string[] {
  return revocations.flatMap((item) => {
    const id: unknown = typeof item === 'object' && item !== null && 'peer_id' in item ? item.peer_id : item;
    return (typeof id === 'string' ? readPeerId(id) : undefined) ?? [];
  });
}

/** The first addresses that are kept of one record, circuits first: with a circuit a device can always be reached. */
export function boundAddresses(addresses: readonly string[]): string[] {
  return addresses
    .filter((address) => Buffer.byteLength(address) <= MAX_ADDR_BYTES)
    .toSorted((a, b) => Number(isCircuit(b)) - Number(isCircuit(a)))
    .slice(0, MAX_ADDRS);
}

function isCircuit(address: string): boolean {
  return address.includes('/p2p-circuit');
}

/** The peer id in its canonical form. */
function readPeerId(text: string): string | undefined {
  if (text.length > MAX_STRING_BYTES) return undefined;
  try {
    return peerIdFromString(text).toString();
  } catch {
    return undefined;
  }
}

/** A text of the description of a device. One that cannot be stored counts as absent. */
function readLabel(text: string | null | undefined): string | undefined {
  return typeof text === 'string' && stringProblem(text) === undefined ? text : undefined;
}
