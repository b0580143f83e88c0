// The connection of this device to a relay: circuits and reservations share it.
import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { toError } from '../../shared/errors.ts';
import { peerIdOf } from './addresses.ts';
import type { PeerLibp2p } from './node.ts';

/** Deadline of the ping of a relay after a circuit through it timed out, in milliseconds. */
const PING_TIMEOUT_MS = 3_000;

/** Returns the open connection to a relay, or opens one. */
export async function openRelay(
  libp2p: PeerLibp2p,
  relay: string,
  options: NonNullable<Parameters<PeerLibp2p['dial']>[1]>,
): Promise<Connection> {
  const address = multiaddr(relay);
  const peerId = relayPeerId(relay);
  // The circuit transport uses the first connection to the relay, even when it is closing.
  for (const connection of libp2p.getConnections(peerId))
    if (connection.status !== 'open')
      connection.abort(new Error('The connection was replaced by a new one.'));
  const open = libp2p.getConnections(peerId).find(({ status }) => status === 'open');
  return open ?? libp2p.dial(address, { ...options, force: true });
}

/**
 * Aborts the connection to an unresponsive relay (a laptop in another network), so that the next attempt opens a new
 * one. A connection with streams is kept, because their data may delay the response.
 */
export async function abortDeadRelay(libp2p: PeerLibp2p, relay: string): Promise<void> {
  const peerId = relayPeerId(relay);
  const idle = libp2p.getConnections(peerId).filter(({ streams }) => streams.length === 0);
  if (idle.length === 0) return;
  try {
    await libp2p.services.ping.ping(peerId, { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
  } catch (error) {
    for (const connection of idle) connection.abort(toError(error));
  }
}

function relayPeerId(relay: string): PeerId {
  return peerIdFromString(peerIdOf(relay) ?? '');
}
