// Pings of relays. A connection has one ping stream: a second ping at the same time fails at once, although the relay is
// alive. So all callers that ping one relay share one ping.
import type { PeerId } from '@libp2p/interface';
import { aborted } from '../../shared/signals.ts';
import type { PeerLibp2p } from './node.ts';

/** Deadline of a ping in milliseconds; longer than that of each caller, who stops waiting earlier. */
const PING_MS = 60_000;

const pings = new WeakMap<PeerLibp2p, Map<string, Promise<number>>>();

/**
 * Resolves to the round-trip time in milliseconds.
 *
 * @throws when the connection is lost, or the reason of the signal
 */
export async function pingRelay(libp2p: PeerLibp2p, peerId: PeerId, signal: AbortSignal): Promise<number> {
  const ofNode = pings.get(libp2p) ?? new Map<string, Promise<number>>();
  pings.set(libp2p, ofNode);
  const key = peerId.toString();
  const ping = ofNode.get(key) ?? startPing(libp2p, peerId, ofNode);
  return Promise.race([ping, aborted(signal).then(() => signal.throwIfAborted() as never)]);
}

async function startPing(
  libp2p: PeerLibp2p,
  peerId: PeerId,
  ofNode: Map<string, Promise<number>>,
): Promise<number> {
  const key = peerId.toString();
  const ping = libp2p.services.ping
    .ping(peerId, { signal: AbortSignal.timeout(PING_MS) })
    .finally(() => ofNode.delete(key));
  // The callers may have stopped waiting.
  ping.catch(() => {});
  ofNode.set(key, ping);
  return ping;
}
