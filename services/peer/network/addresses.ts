// The addresses of a peer that are dialed, and their order. Pure functions.
import { multiaddr } from '@multiformats/multiaddr';

/**
 * Maximum addresses that are tried in one attempt to connect to a peer. Further ones are ignored. A peer can register
 * 32.
 */
const MAX_CANDIDATES = 16;

/** An address to try. */
export interface Candidate {
  /** The multiaddr, ending in the peer id of the peer. */
  readonly address: string;
  /** The multiaddr of the relay of a circuit; `undefined` for a direct address. */
  readonly relay: string | undefined;
}

interface DialStrategyRule {
  /** For help and documentation. */
  readonly doc: string;
  order(addresses: { circuits: readonly Candidate[]; direct: readonly Candidate[] }): Candidate[];
}

/** The orders in which the addresses of a peer are dialed. */
export const DIAL_STRATEGIES = {
  'relay-first': {
    doc: 'circuits, then direct addresses',
    order: ({ circuits, direct }) => [...circuits, ...direct],
  },
  'relay-only': { doc: 'circuits only', order: ({ circuits }) => [...circuits] },
  'direct-first': {
    doc: 'direct addresses, then circuits',
    order: ({ circuits, direct }) => [...direct, ...circuits],
  },
} as const satisfies Record<string, DialStrategyRule>;

export type DialStrategy = keyof typeof DIAL_STRATEGIES;
export const DIAL_STRATEGY_NAMES = Object.keys(DIAL_STRATEGIES) as readonly DialStrategy[];

/**
 * The addresses to try for a peer, best first. By default: circuits through the relays of this device, circuits that
 * the peer registered, its direct addresses. The strategy changes the order or removes direct addresses.
 */
export function toCandidates(
  peerId: string,
  addresses: readonly string[],
  relays: readonly string[],
  strategy: DialStrategy,
): Candidate[] {
  const registered = addresses.flatMap((address) => parseCandidate(peerId, address) ?? []);
  const own = relays.map((relay) => ({ address: `${relay}/p2p-circuit/p2p/${peerId}`, relay }));
  const circuits = [...own, ...registered.filter(({ relay }) => relay !== undefined)];
  const direct = registered.filter(({ relay }) => relay === undefined);
  const ordered = DIAL_STRATEGIES[strategy].order({ circuits, direct });
  const unique = new Map(ordered.map((candidate) => [candidate.address, candidate]));
  return [...unique.values()].slice(0, MAX_CANDIDATES);
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

/** Whether only this machine can connect to the address. */
export function isLoopback(address: string): boolean {
  return /^\/(ip4\/127\.|ip6\/(0*:)*0*1\/|dns[46]?\/localhost\/)/.test(address);
}

/** Parses a registered address, which is untrusted; `undefined` when it is invalid or ends in another peer id. */
function parseCandidate(peerId: string, address: string): Candidate | undefined {
  try {
    multiaddr(address);
  } catch {
    return undefined;
  }
  const [relay = '', afterCircuit] = address.split('/p2p-circuit');
  const suffix = `/p2p/${peerId}`;
  const target = peerIdOf(address);
  if (afterCircuit === undefined) {
    if (target === undefined) return { address: `${address}${suffix}`, relay: undefined };
    return target === peerId ? { address, relay: undefined } : undefined;
  }
  const isForPeer = target === peerId || afterCircuit === '';
  if (!isForPeer || peerIdOf(relay) === undefined) return undefined;
  return { address: `${relay}/p2p-circuit${suffix}`, relay };
}
