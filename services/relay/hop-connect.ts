// The CONNECT request: a circuit from the requesting peer to a peer with a reservation.
import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { toError } from '../shared/errors.ts';
import { createLimitedLog } from '../shared/limited-log.ts';
import { refused, type Result } from '../shared/result.ts';
import { anySignal } from '../shared/signals.ts';
import type { Circuit } from './circuit-admission.ts';
import { joinStreams } from './circuit.ts';
import { addressOf } from './connection-limiter.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { circuitLimit, Status } from './messages.ts';
import {
  CIRCUIT_REFUSALS,
  type CircuitRefusal,
  type CircuitRefusalOutcome,
  type TargetRefusal,
} from './outcomes.ts';
import { createStopClient, isRelayed } from './stop.ts';

/** Maximum log lines per minute about targets that do not answer, for each reason. */
const REFUSAL_LINES_PER_MINUTE = 6;

/** The two ends of a circuit, for the log. */
interface CircuitPeers {
  readonly source: string;
  readonly target: string;
  /** Address of the source. */
  readonly address: string;
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
  const { reservations, circuits, buffers, metrics, refusals, log, unreachablePeers } = options;
  const { limits } = options.config;
  const openStop = createStopClient({ limits, ...options });
  const limitedLog = createLimitedLog<TargetRefusal>({ log, perMinute: REFUSAL_LINES_PER_MINUTE });

  async function refuse(exchange: HopExchange, peers: CircuitPeers, reason: CircuitRefusal): Promise<void> {
    metrics.circuit(reason);
    const { source: peer, target, address } = peers;
    if (isOfTarget(reason))
      limitedLog(reason, { ...peers, reason }, 'the target of a circuit did not answer', target);
    else refusals.refused('circuit', reason, { peer, target, address });
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

  /**
   * Asks the connection that holds the reservation. When the target reserves on another one meanwhile, because it changed
   * its network, that one is asked at once.
   */
  async function openTarget(
    source: PeerId,
    target: string,
    signal: AbortSignal,
  ): Promise<Result<{ readonly stream: Stream }, CircuitRefusal>> {
    const holder = reservations.holderOf(target);
    if (holder === undefined) return refused('no_reservation');
    const lost = new AbortController();
    const removeListener = reservations.onLost(holder, () =>
      lost.abort(new Error('The target reserved on another connection.')),
    );
    const opened = await openStop(source, holder, anySignal(signal, lost.signal)).finally(removeListener);
    const next = reservations.holderOf(target);
    if (opened.ok || next === undefined || next === holder || signal.aborted) return opened;
    return openStop(source, next, signal);
  }

  async function run(
    sourceStream: Stream,
    targetStream: Stream,
    peers: CircuitPeers,
    evicted: AbortSignal,
  ): Promise<void> {
    metrics.circuit('ok');
    log.debug(peers, 'circuit opened');
    const summary = await joinStreams(sourceStream, targetStream, {
      limits,
      rateLimiters: circuits.rateLimiters(peers.source),
      buffers,
      signal: shutdown,
      evicted,
      onBytes: metrics.bytes,
    });
    metrics.circuitEnded(summary);
    log.debug({ ...peers, ...summary }, 'circuit ended');
  }

  return async (exchange, connection, target, signal) => {
    const peers = {
      source: connection.remotePeer.toString(),
      target: target.toString(),
      address: connection.remoteAddr.toString(),
    };
    if (isRelayed(connection)) return refuse(exchange, peers, 'relayed');
    const eviction = new AbortController();
    const circuit: Circuit = {
      ...peers,
      address: addressOf(connection),
      evict: () => eviction.abort(new Error('The relay gave the place of this circuit to another one.')),
    };
    const admitted = circuits.open(circuit);
    if (!admitted.ok) return refuse(exchange, peers, admitted.reason);
    try {
      const opened = await openTarget(
        connection.remotePeer,
        peers.target,
        anySignal(signal, eviction.signal),
      );
      if (!opened.ok)
        return await refuse(exchange, peers, eviction.signal.aborted ? 'evicted' : opened.reason);
      unreachablePeers.reached(peers.target);
      await run(await accept(exchange, opened.stream), opened.stream, peers, eviction.signal);
    } finally {
      circuits.close(circuit);
    }
  };
}

function isOfTarget(reason: CircuitRefusal): reason is TargetRefusal {
  return reason.startsWith('target_');
}
