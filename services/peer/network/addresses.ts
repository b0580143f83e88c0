// Which addresses of a peer are tried, and in which order. Pure.
import { multiaddr } from '@multiformats/multiaddr';
import type { DialStrategy } from '../config/settings.ts';

/** Most addresses tried for one peer in one go; a peer may have registered 32. */
const MAX_CANDIDATES = 16;

/** One address to try. */
export interface Candidate {
  /** The whole multiaddr, ending in the peer's id. */
  readonly address: string;
  /** The multiaddr of the relay for a circuit; absent for a direct address. */
  readonly relay: string | undefined;
}

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
  const ordered = {
    'relay-first': [...circuits, ...direct],
    'relay-only': circuits,
    'direct-first': [...direct, ...circuits],
  }[strategy];
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
