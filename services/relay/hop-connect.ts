// The CONNECT request: a circuit from the requesting peer to a peer with a reservation.
import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { toError } from '../shared/errors.ts';
import { joinStreams } from './circuit.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { circuitLimit, Status } from './messages.ts';
import { CIRCUIT_REFUSALS, type CircuitRefusal, type CircuitRefusalOutcome } from './outcomes.ts';
import { createStopClient, isRelayed } from './stop.ts';

/** The two ends of a circuit, for the log. */
interface CircuitPeers {
  readonly source: string;
  readonly target: string;
}

/** Serves one CONNECT request, and resolves when its circuit has ended. */
export type ServeConnect = (
  exchange: HopExchange,
  connection: Connection,
  target: PeerId,
  signal: AbortSignal,
) => Promise<void>;

/** @param shutdown ends all circuits */
export function createConnectHandler(options: HopOptions, shutdown: AbortSignal): ServeConnect {
  const { circuits, buffers, metrics, log, unreachablePeers } = options;
  const { limits } = options.config;
  const stopClient = createStopClient({ limits, log, connectionsTo: options.connectionsTo });

  async function refuse(exchange: HopExchange, peers: CircuitPeers, reason: CircuitRefusal): Promise<void> {
    metrics.circuit(reason);
    log.debug({ ...peers, reason }, 'connect refused');
    const refusal: CircuitRefusalOutcome = CIRCUIT_REFUSALS[reason];
    if (refusal.isUnreachable === true) unreachablePeers.failed(peers.target, peers.source, reason);
    await exchange.conclude({ status: refusal.status });
  }

  async function accept(exchange: HopExchange, targetStream: Stream): Promise<Stream> {
    try {
      await exchange.respond({ status: Status.OK, limit: circuitLimit(limits) });
      return exchange.unwrap();
    } catch (error) {
      targetStream.abort(toError(error));
      throw error;
    }
  }

  async function run(sourceStream: Stream, targetStream: Stream, peers: CircuitPeers): Promise<void> {
    metrics.circuit('ok');
    log.debug(peers, 'circuit opened');
    const summary = await joinStreams(sourceStream, targetStream, {
      limits,
      rateLimiters: circuits.rateLimiters(peers.source),
      buffers,
      signal: shutdown,
      onBytes: metrics.bytes,
    });
    metrics.circuitEnded(summary);
    log.debug({ ...peers, ...summary }, 'circuit ended');
  }

  return async (exchange, connection, target, signal) => {
    const peers = { source: connection.remotePeer.toString(), target: target.toString() };
    if (isRelayed(connection)) return refuse(exchange, peers, 'relayed');
    const admitted = circuits.open(peers.source, peers.target);
    if (!admitted.ok) return refuse(exchange, peers, admitted.reason);
    try {
      const opened = await stopClient.open(connection.remotePeer, target, signal);
      if (!opened.ok) return await refuse(exchange, peers, opened.reason);
      unreachablePeers.reached(peers.target);
      await run(await accept(exchange, opened.stream), opened.stream, peers);
    } finally {
      circuits.close(peers.source, peers.target);
    }
  };
}
