// Which addresses of a peer are tried, and in which order. Pure.
import { multiaddr } from '@multiformats/multiaddr';

/** Most addresses tried for one peer in one go; a peer may have registered 32. */
const MAX_CANDIDATES = 16;

/** One address to try. */
export interface Candidate {
  /** The whole multiaddr, ending in the peer's id. */
  readonly address: string;
  /** The multiaddr of the relay for a circuit; absent for a direct address. */
  readonly relay: string | undefined;
}

interface DialStrategyRule {
  /** For help and documentation. */
  readonly doc: string;
  order(addresses: { circuits: readonly Candidate[]; direct: readonly Candidate[] }): Candidate[];
}

/** The orders in which the addresses of a peer are dialed. A new strategy is one more entry. */
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
 * The addresses to try for a peer, best first: circuits through the relays we are configured for, circuits that
 * the peer told of, its direct addresses; the strategy leaves some out or turns the order.
 */
export function toCandidates(
  peerId: string,
  addresses: readonly string[],
  relays: readonly string[],
  strategy: DialStrategy,
): Candidate[] {
  const told = addresses.flatMap((address) => parseCandidate(peerId, address));
  const ours = relays.map((relay) => ({ address: `${relay}/p2p-circuit/p2p/${peerId}`, relay }));
  const circuits = [...ours, ...told.filter(({ relay }) => relay !== undefined)];
  const direct = told.filter(({ relay }) => relay === undefined);
  const ordered = DIAL_STRATEGIES[strategy].order({ circuits, direct });
  const unique = new Map(ordered.map((candidate) => [candidate.address, candidate]));
  return [...unique.values()].slice(0, MAX_CANDIDATES);
}

/** The peer id that a multiaddr ends in, or `undefined`. */
export function peerIdOf(address: string): string | undefined {
  try {
    const last = multiaddr(address).getComponents().at(-1);
    return last?.name === 'p2p' ? last.value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  return /^\/(ip4\/127\.|ip6\/(0*:)*0*1\/|dns[46]?\/localhost\/)/.test(address);
}

/** What a tracker told comes from anyone: an address that is none, or leads to another peer, is left out. */
function parseCandidate(peerId: string, given: string): Candidate[] {
  const [front = '', behind] = given.split('/p2p-circuit');
  const end = `/p2p/${peerId}`;
  try {
    multiaddr(given);
  } catch {
    return [];
  }
  const target = peerIdOf(given);
  if (behind !== undefined) {
    const leadsThere = target === peerId || behind === '';
    return leadsThere && peerIdOf(front) !== undefined
      ? [{ address: `${front}/p2p-circuit${end}`, relay: front }]
      : [];
  }
  if (target !== undefined && target !== peerId) return [];
  return [{ address: target === undefined ? `${given}${end}` : given, relay: undefined }];
}
