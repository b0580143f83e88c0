// The hosts to which clients send a token over http:// in clear text: only this machine. `rr` 1.x and the peer have the
// same rule, and the tracker explains it on its status page.
import { isIPv4 } from 'node:net';

/**
 * Whether a host is this machine: `localhost`, 127.0.0.0/8 or ::1. Any other name or address is not, also one that
 * resolves to such an address, because the resolver of a network can return any address for it. An IPv4-mapped
 * address (`::ffff:127.0.0.1`) and `localhost.` are not, because `rr` sends no token to them.
 *
 * @param hostname the host of a parsed URL, which is in lower case, with `127.1` written as `127.0.0.1`
 */
export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'))
  );
}

/** Whether a client sends its token to this URL: over TLS, or to this machine. */
export function mayReceiveToken({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || isLoopbackHost(hostname);
}
