// Whose address a request comes from, when proxies stand before the tracker. Headers are believed only from those.
import { BlockList, isIP } from 'node:net';
import { clientNetwork, unmapped } from '../shared/client-network.ts';

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
    return isIP(client) === 0 ? undefined : clientNetwork(client);
  };
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
