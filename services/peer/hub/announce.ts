// The addresses that the hub registers: those that are announced, and its circuits. `rr` 1.x dials a peer that lists any
// circuit only through its relay, and otherwise only public IP addresses, so a hub with a public address requests no
// reservations, and any other needs them.
import { multiaddr } from '@multiformats/multiaddr';
import { addressClass, isDirectLoopback } from '../../shared/address-class.ts';
import { quote } from '../../shared/variables.ts';

export interface Announced {
  /** The addresses to register, each with the peer id of the hub, as devices register theirs. */
  readonly addresses: readonly string[];
  /** Whether `rr` 1.x can connect to one of them, so that the hub needs no relay. */
  readonly isPublic: boolean;
  /** Whole sentences about addresses that devices do not dial. */
  readonly warnings: readonly string[];
  /** Whole sentences about addresses of another peer. */
  readonly problems: readonly string[];
}

/**
 * @param given the addresses of the configuration, which are valid
 * @param peerId of the hub
 */
export function readAnnounced(given: readonly string[], peerId: string): Announced {
  const addresses = new Set<string>();
  const warnings: string[] = [];
  const problems: string[] = [];
  let isPublic = false;
  for (const text of given) {
    const [host, port, named] = multiaddr(text).getComponents();
    if (named?.value !== undefined && named.value !== peerId) {
      problems.push(
        `${quote(text)} names another peer; this hub is ${peerId}. Remove /p2p/ and the peer id, which is another one for each database.`,
      );
      continue;
    }
    const address = `/${host?.name}/${host?.value}/tcp/${port?.value}`;
    addresses.add(`${address}/p2p/${peerId}`);
    const reason = notDialed(address);
    if (reason === undefined) isPublic = true;
    else
      warnings.push(
        `announce_addrs: ${quote(text)} is ${reason}, which rr 1.x never dials; it reaches the hub through the relays in relay_addr.`,
      );
  }
  return { addresses: [...addresses], isPublic, warnings, problems };
}

/** What keeps `rr` 1.x from dialing an address; `undefined` when it does. */
function notDialed(address: string): string | undefined {
  if (isDirectLoopback(address)) return 'a loopback address';
  if (address.startsWith('/dns')) return 'a name and not an IP address';
  // A tailnet (100.64.0.0/10) is dialed by rr 1.x, but devices outside of it would find no other way to the hub.
  return addressClass(address) === 'public' ? undefined : 'an address of a private network';
}
