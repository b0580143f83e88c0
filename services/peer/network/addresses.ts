// The addresses of a peer that are dialed, and their order. Pure functions.
import { isIPv4, isIPv6 } from 'node:net';
import { type Component, multiaddr } from '@multiformats/multiaddr';
import { canonicalAddress, groupRelays } from './relays.ts';

/**
 * Maximum circuits, and maximum direct addresses, that are tried in one attempt to connect to a peer. Further ones are
 * ignored. A peer can register some dozens, of which most are of networks that it was in before.
 */
const MAX_CIRCUITS = 8;
const MAX_DIRECT = 16;

/** An address to try. */
export interface Candidate {
  /** The multiaddr, ending in the peer id of the peer. */
  readonly address: string;
  /** The multiaddr of the relay of a circuit; `undefined` for a direct address. */
  readonly relay: string | undefined;
  /** All addresses of a relay of this device, of which `relay` is the first. Absent for a relay that the peer lists. */
  readonly relayAddresses?: readonly string[];
}

/** The addresses of one peer to try, best first. */
export interface Candidates {
  readonly circuits: readonly Candidate[];
  readonly direct: readonly Candidate[];
}

/** The addresses of a peer, as far as the choice of candidates depends on them. */
export interface PeerAddresses {
  readonly peerId: string;
  /** Addresses from a tracker or from the user. Untrusted. */
  readonly addresses: readonly string[];
  /** Whether a circuit is tried only if `addresses` has one. For a peer that the user names it is always tried. */
  readonly isListed?: boolean;
}

/** The kinds of addresses of a peer that are dialed: the first kind, and the other one 250 ms later. */
export const DIAL_STRATEGIES = {
  'relay-first': { doc: 'circuits, and direct addresses 250 ms later', kinds: ['circuits', 'direct'] },
  'relay-only': { doc: 'circuits only', kinds: ['circuits'] },
  'direct-first': { doc: 'direct addresses, and circuits 250 ms later', kinds: ['direct', 'circuits'] },
} as const satisfies Record<
  string,
  { readonly doc: string; readonly kinds: ReadonlyArray<keyof Candidates> }
>;

export type DialStrategy = keyof typeof DIAL_STRATEGIES;
export const DIAL_STRATEGY_NAMES = Object.keys(DIAL_STRATEGIES) as readonly DialStrategy[];

/**
 * The addresses to try for a peer. Circuits through the relays of this device are first, and of these the ones through
 * a relay that the peer lists; then circuits through other relays that the peer lists.
 */
export function toCandidates(
  { peerId, addresses, isListed = false }: PeerAddresses,
  relays: readonly string[],
): Candidates {
  const listed = addresses.flatMap((address) => parseCandidate(peerId, address) ?? []);
  const listedCircuits = listed.filter(({ relay }) => relay !== undefined);
  const listedRelays = new Set(listedCircuits.map(({ relay = '' }) => peerIdOf(relay)));
  const own = groupRelays(relays)
    .map(({ addresses: relayAddresses }) => {
      const [relay = ''] = relayAddresses;
      return { address: `${relay}/p2p-circuit/p2p/${peerId}`, relay, relayAddresses };
    })
    // The sort is stable, so relays of one kind keep the order of preference.
    .toSorted(
      (a, b) => Number(listedRelays.has(peerIdOf(b.relay))) - Number(listedRelays.has(peerIdOf(a.relay))),
    );
  const circuits = isListed && listedCircuits.length === 0 ? [] : [...own, ...listedCircuits.filter(hasHost)];
  // Neither `rr` nor this program registers names, and a look-up of one occupies a thread of this process for seconds.
  const direct = listed.filter(
    ({ address, relay }) => relay === undefined && !(isListed && hasName(address)),
  );
  return { circuits: unique(circuits).slice(0, MAX_CIRCUITS), direct: unique(direct).slice(0, MAX_DIRECT) };
}

/** The addresses to try in the order of their start. The strategy removes or orders the kinds. */
export function orderCandidates(
  candidates: Candidates,
  strategy: DialStrategy,
): ReadonlyArray<readonly Candidate[]> {
  return DIAL_STRATEGIES[strategy].kinds.map((kind) => candidates[kind]);
}

/** The peer id at the end of a multiaddr; `undefined` when there is none. */
export function peerIdOf(address: string): string | undefined {
  try {
    const last = multiaddr(address).getComponents().at(-1);
    return last?.name === 'p2p' ? last.value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether only this machine can connect to the address, or to the relay of the circuit. */
export function isLoopback(address: string): boolean {
  const [host] = componentsOf(address) ?? [];
  const value = host?.value ?? '';
  if (host?.name === 'ip4') return value.startsWith('127.');
  if (host?.name === 'ip6')
    return isIPv6(value) && (isUnspecifiedIp(value, '1') || /^::ffff:(127\.|7f)/i.test(value));
  return host !== undefined && /^dns[46]?$/.test(host.name) && /^localhost\.?$/i.test(value);
}

/**
 * Removes what only the machine of a peer can use from an address that it lists: a direct loopback address, and the
 * loopback address of a relay. The circuit remains, because the peer can be reached through a relay of this device.
 */
export function withoutLoopback(address: string): string | undefined {
  if (!isLoopback(address)) return address;
  const [relay = '', circuit] = address.split('/p2p-circuit');
  const relayId = peerIdOf(relay);
  return circuit === undefined || relayId === undefined ? undefined : `/p2p/${relayId}/p2p-circuit${circuit}`;
}

/** Parses a listed address, which is untrusted; `undefined` when it is not usable or ends in another peer id. */
function parseCandidate(peerId: string, address: string): Candidate | undefined {
  const components = componentsOf(address);
  if (components === undefined) return undefined;
  const [relay = '', afterCircuit, ...more] = address.split('/p2p-circuit');
  const suffix = `/p2p/${peerId}`;
  const target = peerIdOf(address);
  if (afterCircuit === undefined) {
    if ((target !== undefined && target !== peerId) || !isDirect(components)) return undefined;
    return { address: target === undefined ? `${address}${suffix}` : address, relay: undefined };
  }
  const isForPeer = target === peerId || afterCircuit === '';
  if (!isForPeer || more.length > 0 || peerIdOf(relay) === undefined) return undefined;
  return { address: `${relay}/p2p-circuit${suffix}`, relay };
}

/** Whether this program can connect to the address: a host that is not a whole network, and a TCP port. */
function isDirect([host, port, ...rest]: readonly Component[]): boolean {
  if (host === undefined || port?.name !== 'tcp' || Number(port.value) === 0) return false;
  if (rest.some(({ name }) => name !== 'p2p')) return false;
  const value = host.value ?? '';
  if (host.name === 'ip4') return isIPv4(value) && !/^(0\.|2(2[4-9]|[345]\d)\.)/.test(value);
  // A link-local address has no meaning without the interface, which a multiaddr names in another component.
  if (host.name === 'ip6')
    return isIPv6(value) && !isUnspecifiedIp(value, '0') && !/^(ff|fe[89ab])/i.test(value);
  return /^dns[46]?$/.test(host.name);
}

/** Whether an IPv6 address is all zeros, except for this last group. */
function isUnspecifiedIp(value: string, last: '0' | '1'): boolean {
  const groups = value.split(':').filter((group) => group !== '');
  const numbers = groups.map((group) => Number.parseInt(group, 16));
  if (last === '0') return numbers.every((number) => number === 0);
  return (
    numbers.at(-1) === 1 && numbers.slice(0, -1).every((number) => number === 0) && !value.endsWith('::')
  );
}

function hasName(address: string): boolean {
  return address.startsWith('/dns');
}

/** Whether a relay can be connected to, and not only be recognized by its peer id. */
function hasHost({ relay = '' }: Candidate): boolean {
  return !relay.startsWith('/p2p/');
}

function unique(candidates: readonly Candidate[]): Candidate[] {
  const first = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const key = canonicalAddress(candidate.address);
    if (!first.has(key)) first.set(key, candidate);
  }
  return [...first.values()];
}

function componentsOf(address: string): Component[] | undefined {
  try {
    return multiaddr(address).getComponents();
  } catch {
    return undefined;
  }
}
