// The relay's end of the stop protocol: it asks the target of a circuit whether it takes it.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#stop-protocol
import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { CODE_P2P_CIRCUIT } from '@multiformats/multiaddr';
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import {
  decodeStopAnswer,
  encodeStopRequest,
  FRAMING,
  type Limit,
  Status,
  STOP_PROTOCOL,
} from './messages.ts';

/** How long all connections to a target together may take to answer, in milliseconds. */
const STOP_TIMEOUT_MS = 12_000;

/** Connections to one target that are tried before a CONNECT fails. */
const MAX_TARGET_CONNECTIONS = 4;

/** Streams of the stop protocol on one connection, above the circuits of a peer: those being set up. */
const STREAMS_ABOVE_CIRCUITS = 16;

export interface StopOptions {
  readonly limit: Limit;
  readonly maxCircuitsPerPeer: number;
  readonly log: Logger;
  connectionsTo(peer: PeerId): Connection[];
}

export interface Stop {
  /**
   * A stream to the target that it has accepted for a circuit from `source`: over its newest live connection, or
   * one of the others; `undefined` when none of them answers well in time.
   */
  open(source: PeerId, target: PeerId, signal: AbortSignal): Promise<Stream | undefined>;
}

export function createStop({ limit, maxCircuitsPerPeer, log, connectionsTo }: StopOptions): Stop {
  const maxOutboundStreams = maxCircuitsPerPeer + STREAMS_ABOVE_CIRCUITS;

  async function ask(connection: Connection, source: PeerId, signal: AbortSignal): Promise<Stream> {
    const stream = await connection.newStream(STOP_PROTOCOL, { signal, maxOutboundStreams });
    try {
      const messages = pbStream(stream, FRAMING);
      const request = { source: source.toMultihash().bytes, limit };
      await messages.write(request, { encode: encodeStopRequest }, { signal });
      const status = await messages.read({ decode: decodeStopAnswer }, { signal });
      if (status !== Status.OK) throw new Error(`the target refused with status ${status}`);
      return messages.unwrap();
    } catch (error) {
      stream.abort(toError(error));
      throw error;
    }
  }

  return {
    async open(source, target, signal) {
      const connections = connectionsTo(target)
        .filter((connection) => connection.status === 'open' && !isRelayed(connection))
        // The last in the list is the newest of those that opened within one millisecond.
        .toReversed()
        .toSorted((a, b) => b.timeline.open - a.timeline.open)
        .slice(0, MAX_TARGET_CONNECTIONS);
      const deadline = performance.now() + STOP_TIMEOUT_MS;
      for (const [at, connection] of connections.entries()) {
        // A connection that hangs gets its share of the time, so that the next one has some left.
        const left = Math.max(0, deadline - performance.now());
        const share = AbortSignal.timeout(Math.ceil(left / (connections.length - at)));
        try {
          return await ask(connection, source, AbortSignal.any([signal, share]));
        } catch (error) {
          log.debug({ target: target.toString(), error: describeError(error) }, 'stop failed');
        }
      }
      return undefined;
    },
  };
}

/** Whether a connection is itself a circuit: a chain of relays would count every byte many times. */
export function isRelayed(connection: Connection): boolean {
  return connection.remoteAddr.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT);
}
