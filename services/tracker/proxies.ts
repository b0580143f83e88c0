// Whose address a request comes from, when proxies stand before the tracker. Headers are believed only from those.
import { BlockList, isIP } from 'node:net';

/** Addresses or networks (`10.0.0.0/8`, `::1`) of one proxy or many. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
}

/** Tells the address of the client from the address of the connection and the `X-Forwarded-For` header, if that is needed. */
export type ClientAddress = (
  peer: string,
  header: (name: string) => string | undefined,
) => string | undefined;

/** Addresses looked at from the end of a header; nobody has that many proxies in a row. */
const MAX_HOPS = 16;

/** Bits of an IPv6 address that belong to one client: providers hand out at least a /64. */
const IPV6_CLIENT_GROUPS = 4;

/** @throws Error whose message completes «NAME …». */
export function parseNetwork(text: string): Network {
  const [address = '', given] = text.split('/');
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  const prefix = given === undefined ? most : Number(given);
  if (version === 0 || !/^\d{1,3}$/.test(given ?? '0') || prefix > most)
    throw new Error('must be addresses or networks such as 10.0.0.0/8 or ::1');
  return { address, prefix };
}

/**
 * Without trusted proxies no address is known to be a client's: behind an undeclared proxy all clients have one.
 * With them, the client is the last address of the chain that is not a trusted proxy.
 */
export function createClientAddress(trusted: readonly Network[]): ClientAddress {
  if (trusted.length === 0) return () => undefined;
  const proxies = new BlockList();
  for (const { address, prefix } of trusted) proxies.addSubnet(address, prefix, family(address));
  return (peer, header) => {
    let client = unmapped(peer);
    const hops = (header('x-forwarded-for') ?? '').split(',').slice(-MAX_HOPS);
    while (isIP(client) !== 0 && proxies.check(client, family(client))) {
      const next = unmapped((hops.pop() ?? '').trim());
      if (isIP(next) === 0) break;
      client = next;
    }
    return isIP(client) === 0 ? undefined : network(client);
  };
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}

/** An IPv4 address as an IPv6 socket shows it, without its prefix. */
function unmapped(address: string): string {
  return address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** The part of an address that stands for one client. */
function network(address: string): string {
  if (isIP(address) === 4) return address;
  const groups = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: groups.length === 1 ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, IPV6_CLIENT_GROUPS).join(':');
}
