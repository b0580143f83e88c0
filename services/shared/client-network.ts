// Which part of an address stands for one client, where requests and connections are counted by where they come from.
import { isIP } from 'node:net';

/** Groups of an IPv6 address, of 16 bits each, that belong to one client: providers hand out at least a /64. */
const IPV6_CLIENT_GROUPS = 4;

/** An IPv4 address as an IPv6 socket shows it, without its prefix. */
export function unmapped(address: string): string {
  return address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** The part of an IP address that stands for one client: all of it in IPv4, the network in IPv6. */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: groups.length === 1 ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, IPV6_CLIENT_GROUPS).join(':');
}
