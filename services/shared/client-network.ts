// The key of limits per client address: an IPv4 address, or an IPv6 network.
import { isIP } from 'node:net';

/**
 * Leading 16-bit groups of an IPv6 address that identify one client, because providers assign at least a /64 to each.
 */
const IPV6_CLIENT_GROUPS = 4;

/** An IPv4 address that is mapped to IPv6 (RFC 4291, section 2.5.5.2), with groups or with the IPv4 address as text. */
const MAPPED = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([\da-f]{1,4}):([\da-f]{1,4}))$/i;

/**
 * The IPv4 address in an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, `::ffff:c000:201`); any other address stays as it is.
 */
export function unmapped(address: string): string {
  const [, ipv4, high = '', low = ''] = MAPPED.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  if (high === '') return address;
  const bits = Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}

/** The part of an IP address that identifies one client: the whole IPv4 address, or the /64 network in IPv6. */
export function clientNetwork(address: string): string {
  const client = unmapped(address);
  if (isIP(client) !== 6) return client;
  const groups = new URL(`http://[${client.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: groups.length === 1 ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, IPV6_CLIENT_GROUPS).join(':');
}
