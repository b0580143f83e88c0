// What a registry counts of its live peers for the metrics. Each count is of the whole registry, so all replicas report
// the same numbers. docs/decisions/tracker-counts.md has the reasons.

/** Maximum relays of one device that are counted. Devices use one or two; a hostile one could list 32. */
export const MAX_COUNTED_RELAYS = 3;

export interface RegistryCounts {
  /** Live peers that list a circuit. */
  readonly circuitPeers: number;
  /** Pairs of a live peer and a relay at which it lists a circuit. Each is a reservation. */
  readonly circuits: number;
  /** Users with exactly one live peer, which is not a hub. */
  readonly singleDeviceUsers: number;
  /** Users with a live hub. */
  readonly hubUsers: number;
}

/** The peer id of the relay of a circuit. */
const RELAY = /\/p2p\/([^/]+)\/p2p-circuit(?:\/|$)/;

/** Number of different relays at which a device lists circuits, at most `MAX_COUNTED_RELAYS`. */
export function countRelays(addrs: readonly string[]): number {
  const relays = new Set<string>();
  for (const addr of addrs) {
    const relay = RELAY.exec(addr)?.[1];
    if (relay !== undefined) relays.add(relay);
  }
  return Math.min(relays.size, MAX_COUNTED_RELAYS);
}
