// The relay side of the stop protocol: requests the target of a circuit to accept it.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#stop-protocol
import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { CODE_P2P_CIRCUIT } from '@multiformats/multiaddr';
import { monotonicMs } from '../shared/clock.ts';
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import { refused, type Result } from '../shared/result.ts';
import type { RelayLimits } from './config.ts';
import {
  circuitLimit,
  decodeStopResponse,
  encodeStopRequest,
  FRAMING,
  Status,
  STOP_PROTOCOL,
} from './messages.ts';

/** Deadline for the target to accept a circuit, for all its connections together, in milliseconds. */
const STOP_TIMEOUT_MS = 12_000;

/** Maximum connections to one target that are tried. If all of them fail, the circuit is refused. */
const MAX_TARGET_CONNECTIONS = 4;

/** Streams of the stop protocol on one connection for circuits that are being set up, in addition to open circuits. */
const EXTRA_STREAMS = 16;

export interface StopOptions {
  readonly limits: RelayLimits;
  readonly log: Logger;
  connectionsTo(peer: PeerId): Connection[];
}

export interface StopClient {
  /**
   * Opens a stream to the target for a circuit from `source`, and resolves when the target has accepted it. Tries the
   * open connections of the target one after the other, newest first.
   */
  open(
    source: PeerId,
    target: PeerId,
    signal: AbortSignal,
  ): Promise<Result<{ readonly stream: Stream }, 'target_unreachable'>>;
}

export function createStopClient({ limits, log, connectionsTo }: StopOptions): StopClient {
  const maxOutboundStreams = limits.circuitsPerPeer + EXTRA_STREAMS;

  async function request(connection: Connection, source: PeerId, signal: AbortSignal): Promise<Stream> {
    const stream = await connection.newStream(STOP_PROTOCOL, { signal, maxOutboundStreams });
    try {
      const messages = pbStream(stream, FRAMING);
      const message = { source: source.toMultihash().bytes, limit: circuitLimit(limits) };
      await messages.write(message, { encode: encodeStopRequest }, { signal });
      const status = await messages.read({ decode: decodeStopResponse }, { signal });
      if (status !== Status.OK) throw new Error(`The target refused the circuit with status ${status}.`);
      return messages.unwrap();
    } catch (error) {
      stream.abort(toError(error));
      throw error;
    }
  }

  return {
    async open(source, target, signal) {
      const connections = newestConnections(connectionsTo(target));
      const deadlineMs = monotonicMs() + STOP_TIMEOUT_MS;
      for (const [index, connection] of connections.entries()) {
        // The remaining time is divided evenly, so that a dead connection leaves time for the next one.
        const remainingMs = Math.max(0, deadlineMs - monotonicMs());
        const timeout = AbortSignal.timeout(Math.ceil(remainingMs / (connections.length - index)));
        try {
          const stream = await request(connection, source, AbortSignal.any([signal, timeout]));
          return { ok: true, stream };
        } catch (error) {
          log.debug({ target: target.toString(), error: describeError(error) }, 'stop failed');
        }
      }
      return refused('target_unreachable');
    },
  };
}

/** The open direct connections, newest first. */
function newestConnections(connections: readonly Connection[]): Connection[] {
  return (
    connections
      .filter((connection) => connection.status === 'open' && !isRelayed(connection))
      // Of connections that opened in the same millisecond, the last one is the newest.
      .toReversed()
      .toSorted((a, b) => b.timeline.open - a.timeline.open)
      .slice(0, MAX_TARGET_CONNECTIONS)
  );
}

/** Whether a connection is a circuit. Circuits over circuits are refused, because every byte would be relayed twice. */
export function isRelayed(connection: Connection): boolean {
  return connection.remoteAddr.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT);
}
