// Determines the address of a client behind proxies. Uses only headers from trusted proxies.
import { BlockList, isIP } from 'node:net';
import { clientNetwork, unmapped } from '../shared/client-network.ts';
import { quote } from '../shared/variables.ts';

/** A network of proxies (`10.0.0.0/8`), or a single one (`::1`, with the longest prefix). */
export interface Network {
  readonly address: string;
  readonly prefix: number;
}

/**
 * Determines the address of a client from the address of the connection and the headers; `undefined` if it is unknown.
 */
export type ClientAddress = (
  remoteAddress: string,
  header: (name: string) => string | undefined,
) => string | undefined;

/** Maximum addresses of one header that are checked, from its end. */
const MAX_HOPS = 16;

/** @throws Error that is a whole sentence */
export function parseNetwork(text: string): Network {
  const [address = '', givenPrefix] = text.split('/');
  const version = isIP(address);
  const maxPrefix = version === 4 ? 32 : 128;
  const prefix = givenPrefix === undefined ? maxPrefix : Number(givenPrefix);
  if (version === 0 || !/^\d{1,3}$/.test(givenPrefix ?? '0') || prefix > maxPrefix)
    throw new Error(`${quote(text)} is not an IP address or a network such as 10.0.0.0/8 or ::1.`);
  return { address, prefix };
}

/**
 * Without trusted proxies the address of a client is unknown, because all clients behind an unknown proxy share one.
 * With them, the client is the last address of the chain that is not a trusted proxy.
 */
export function createClientAddress(trusted: readonly Network[]): ClientAddress {
  if (trusted.length === 0) return () => undefined;
  const proxies = new BlockList();
  for (const { address, prefix } of trusted) proxies.addSubnet(address, prefix, family(address));
  return (remoteAddress, header) => {
    let client = unmapped(remoteAddress);
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
