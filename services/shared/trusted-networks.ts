// Networks whose word about the address of a client is taken: those of proxies and load balancers.
import { BlockList, isIP } from 'node:net';
import { unmapped } from './client-network.ts';
import { quote } from './variables.ts';

/** A network of proxies (`10.0.0.0/8`), or a single one (`::1`, with the longest prefix). */
export interface Network {
  readonly address: string;
  readonly prefix: number;
}

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

/** Whether an address is that of a trusted proxy. */
export function createProxyMatcher(trusted: readonly Network[]): (address: string) => boolean {
  const proxies = new BlockList();
  for (const { address, prefix } of trusted) proxies.addSubnet(address, prefix, family(address));
  return (given) => {
    const address = unmapped(given);
    return isIP(address) !== 0 && proxies.check(address, family(address));
  };
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
