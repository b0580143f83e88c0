// Determines the address of a client behind proxies. Uses only headers from trusted proxies.
import { BlockList, isIP } from 'node:net';
import { clientNetwork, unmapped } from '../shared/client-network.ts';
import { quote } from '../shared/variables.ts';
import { isLoopbackIp } from '../shared/address-class.ts';

/** A network of proxies (`10.0.0.0/8`), or a single one (`::1`, with the longest prefix). */
export interface Network {
  readonly address: string;
  readonly prefix: number;
}

/** The client of a request. */
export interface Client {
  /**
   * Its IP address: of the connection, or what the trusted proxies forwarded; `undefined` without a socket, as in tests.
   * Without trusted proxies it may be the address of a proxy.
   */
  readonly address: string | undefined;
  /**
   * Key of its rate limit. `undefined` without trusted proxies, because all clients behind an unknown proxy share an
   * address.
   */
  readonly limitKey: string | undefined;
  /**
   * Whether it is certainly on the machine of the tracker. A connection over loopback may come from a proxy on the same
   * machine; if it has any header of a proxy, or comes from a trusted proxy that forwards no other address, its client
   * is unknown and counts as remote.
   */
  readonly isLocal: boolean;
}

/** Determines the client from the address of the connection and the headers. */
export type ClientOf = (remoteAddress: string, header: (name: string) => string | undefined) => Client;

/** Headers that proxies add. */
const PROXY_HEADERS = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'];

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

/** The client is the last address of the chain that is not a trusted proxy. */
export function createClientOf(trusted: readonly Network[]): ClientOf {
  const proxies = new BlockList();
  for (const { address, prefix } of trusted) proxies.addSubnet(address, prefix, family(address));
  const isProxy = (address: string): boolean =>
    isIP(address) !== 0 && proxies.check(address, family(address));
  return (remoteAddress, header) => {
    let client = unmapped(remoteAddress);
    const isForwarded = isProxy(client);
    const hops = isForwarded ? (header('x-forwarded-for') ?? '').split(',').slice(-MAX_HOPS) : [];
    while (isProxy(client)) {
      const next = unmapped((hops.pop() ?? '').trim());
      if (isIP(next) === 0) break;
      client = next;
    }
    if (isIP(client) === 0) return { address: undefined, limitKey: undefined, isLocal: false };
    return {
      address: client,
      limitKey: trusted.length === 0 ? undefined : clientNetwork(client),
      isLocal:
        isLoopbackIp(client) &&
        !isProxy(client) &&
        (isForwarded || PROXY_HEADERS.every((name) => header(name) === undefined)),
    };
  };
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
