// Pings of relays. A connection has one ping stream: a second ping at the same time fails at once, although the relay is
// alive. So all callers that ping one connection share one ping.
import type { Connection, PeerId } from '@libp2p/interface';
import { aborted } from '../../shared/signals.ts';
import type { PeerLibp2p } from './node.ts';

/** Deadline of a ping in milliseconds; longer than that of each caller, who stops waiting earlier. */
const PING_MS = 60_000;

/** The ping of each connection that waits for its answer. */
const pings = new WeakMap<Connection, Promise<number>>();

/**
 * Pings the open connection to a relay. Resolves to the round-trip time in milliseconds.
 *
 * @throws when there is no connection, when it is lost, or the reason of the signal
 */
export async function pingRelay(libp2p: PeerLibp2p, peerId: PeerId, signal: AbortSignal): Promise<number> {
  const connection = libp2p.getConnections(peerId).find(({ status }) => status === 'open');
  if (connection === undefined) throw new Error('There is no connection to the relay.');
  const ping = pings.get(connection) ?? startPing(libp2p, connection);
  return Promise.race([ping, aborted(signal).then(() => signal.throwIfAborted() as never)]);
}

async function startPing(libp2p: PeerLibp2p, connection: Connection): Promise<number> {
  const done = new AbortController();
  const lost = Promise.withResolvers<never>();
  // The library waits for the answer until its deadline, also when the connection has ended.
  connection.addEventListener(
    'close',
    () => lost.reject(new Error('The connection to the relay was lost.')),
    {
      once: true,
      signal: done.signal,
    },
  );
  const answer = libp2p.services.ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(PING_MS) });
  const ping = Promise.race([answer, lost.promise]).finally(() => {
    done.abort();
    pings.delete(connection);
  });
  // The callers may have stopped waiting, and the library may fail after the connection was lost.
  ping.catch(() => {});
  answer.catch(() => {});
  pings.set(connection, ping);
  return ping;
}
