// The key of limits per client address: an IPv4 address, or an IPv6 network.
import { isIP } from 'node:net';

/**
 * Leading 16-bit groups of an IPv6 address that identify one client, because providers assign at least a /64 to each.
 */
const IPV6_CLIENT_GROUPS = 4;

/** Removes the prefix of an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`); any other address stays as it is. */
export function unmapped(address: string): string {
  return address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** The part of an IP address that identifies one client: the whole IPv4 address, or the /64 network in IPv6. */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: groups.length === 1 ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, IPV6_CLIENT_GROUPS).join(':');
}
