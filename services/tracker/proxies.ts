// Determines the address of a client behind proxies. Uses only headers from trusted proxies.
import { isIP } from 'node:net';
import { clientNetwork, unmapped } from '../shared/client-network.ts';
import { createProxyMatcher, type Network } from '../shared/trusted-networks.ts';
import { isLoopbackIp } from '../shared/address-class.ts';

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
  /** Whether the address is certainly that of the client: proxies are configured, and it is not one of them. */
  readonly isReal: boolean;
  /**
   * Whether it is certainly on the machine of the tracker. A connection over loopback may come from a proxy on the same
   * machine; if it has any header of a proxy, or comes from a trusted proxy that forwards no other address, its client
   * is unknown and counts as remote.
   */
  readonly isLocal: boolean;
}

/** Determines the client from the address of the connection and the headers. */
export type ClientOf = (remoteAddress: string, header: (name: string) => string | undefined) => Client;

/** Headers that proxies add. The client of a request without them follows from its connection. */
export const PROXY_HEADERS: readonly string[] = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'];

/** Maximum addresses of one header that are checked, from its end. */
const MAX_HOPS = 16;

/** The client is the last address of the chain that is not a trusted proxy. */
export function createClientOf(trusted: readonly Network[]): ClientOf {
  const isProxy = createProxyMatcher(trusted);
  return (remoteAddress, header) => {
    let client = unmapped(remoteAddress);
    const isForwarded = isProxy(client);
    const hops = isForwarded ? (header('x-forwarded-for') ?? '').split(',').slice(-MAX_HOPS) : [];
    while (isProxy(client)) {
      const next = forwardedAddress(hops.pop() ?? '');
      if (next === undefined) break;
      client = next;
    }
    if (isIP(client) === 0) return UNKNOWN;
    return {
      address: client,
      limitKey: trusted.length === 0 ? undefined : clientNetwork(client),
      isReal: trusted.length > 0 && !isProxy(client),
      isLocal:
        isLoopbackIp(client) &&
        !isProxy(client) &&
        (isForwarded || PROXY_HEADERS.every((name) => header(name) === undefined)),
    };
  };
}

const UNKNOWN: Client = { address: undefined, limitKey: undefined, isReal: false, isLocal: false };

/** The address of an entry: in brackets or not, then optionally a port, which may be a pseudonym (RFC 7239). */
const FORWARDED_ADDRESS = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>\d+\.\d+\.\d+\.\d+))(?::(?:\d{1,5}|_[\w.-]+))?$/;

/**
 * The address in an entry of X-Forwarded-For. Proxies also write a port, brackets, quotes, or the parameters of
 * `Forwarded` (`for=…;proto=https`). `undefined` for everything else, such as `unknown` and the pseudonyms of RFC 7239.
 */
function forwardedAddress(entry: string): string | undefined {
  const parameters = entry.split(';').map((part) => part.trim());
  const node =
    parameters.find((part) => /^for\s*=/i.test(part))?.replace(/^for\s*=\s*/i, '') ?? parameters[0] ?? '';
  const text = node.replace(/^"(.*)"$/, '$1').trim();
  const { v4, v6 } = FORWARDED_ADDRESS.exec(text)?.groups ?? {};
  const address = unmapped(v4 ?? v6 ?? text);
  return isIP(address) === 0 ? undefined : address;
}
