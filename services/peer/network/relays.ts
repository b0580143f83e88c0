// The configured relays of this device. One relay may have several addresses (IPv4 and IPv6, two networks, two names): it
// is one relay, with one connection, one reservation and one probe.
import { multiaddr } from '@multiformats/multiaddr';

/** One relay. */
export interface Relay {
  readonly peerId: string;
  /** Its multiaddrs, each ending in its peer id, the preferred one first. Never empty. */
  readonly addresses: readonly string[];
}

/** The relays of a list of addresses, in order of their first address. Each address occurs once, however it is written. */
export function groupRelays(addresses: readonly string[]): Relay[] {
  const byPeerId = new Map<string, Map<string, string>>();
  for (const address of addresses) {
    const key = canonicalAddress(address);
    const peerId = /\/p2p\/([^/]+)$/.exec(key)?.[1] ?? '';
    const ofRelay = byPeerId.get(peerId) ?? new Map<string, string>();
    byPeerId.set(peerId, ofRelay);
    if (!ofRelay.has(key)) ofRelay.set(key, address);
  }
  return [...byPeerId].map(([peerId, ofRelay]) => ({ peerId, addresses: [...ofRelay.values()] }));
}

/** The addresses without those that are equal to an earlier one, however they are written. */
export function uniqueAddresses(addresses: readonly string[]): string[] {
  const unique = new Map<string, string>();
  for (const address of addresses) {
    const key = canonicalAddress(address);
    if (!unique.has(key)) unique.set(key, address);
  }
  return [...unique.values()];
}

/** One text for all spellings of an address: of IPv6 addresses, of names, and of the protocol of a peer id. */
export function canonicalAddress(address: string): string {
  try {
    return multiaddr(multiaddr(address).bytes)
      .getComponents()
      .map(({ name, value }) => {
        if (value === undefined) return `/${name}`;
        const isName = name.startsWith('dns');
        return `/${name}/${isName ? value.toLowerCase().replace(/\.$/, '') : value}`;
      })
      .join('');
  } catch {
    return address;
  }
}
