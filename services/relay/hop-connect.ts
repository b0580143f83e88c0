// The CONNECT request: a circuit from the requesting peer to a peer with a reservation.
import { toError } from '../shared/errors.ts';
import { createLimitedLog } from '../shared/limited-log.ts';
import { refused, type Result } from '../shared/result.ts';
import type { Circuit } from './circuit-admission.ts';
import { createCircuits } from './circuit.ts';
import type { PeerIdentity, RelayStream } from './connection.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { circuitLimit, Status } from './messages.ts';
import {
  type CircuitEnd,
  CIRCUIT_REFUSALS,
  type CircuitRefusal,
  type CircuitRefusalOutcome,
  type TargetRefusal,
} from './outcomes.ts';
import { createStopClient } from './stop.ts';

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
export type ServeConnect = (exchange: HopExchange, target: PeerIdentity) => Promise<void>;

/** What a request does at present, so that it can be ended from outside. */
interface Work {
  end(reason: CircuitEnd): void;
}

export function createConnectHandler(options: HopOptions): ServeConnect {
  const { reservations, circuits, buffers, metrics, refusals, log, unreachablePeers } = options;
  const { limits } = options.config;
  const openStop = createStopClient({ limits, ...options });
  const running = createCircuits({ limits, buffers, onBytes: metrics.bytes });
  const limitedLog = createLimitedLog<TargetRefusal>({ log, perMinute: REFUSAL_LINES_PER_MINUTE });

  function refuse(exchange: HopExchange, peers: CircuitPeers, reason: CircuitRefusal): void {
    metrics.circuit(reason);
    const { source: peer, target, address } = peers;
    if (isOfTarget(reason))
      limitedLog(reason, { ...peers, reason }, 'the target of a circuit did not answer', target);
    else refusals.refused('circuit', reason, { peer, target, address });
    const refusal: CircuitRefusalOutcome = CIRCUIT_REFUSALS[reason];
    if (refusal.isUnreachable === true) unreachablePeers.failed(peers.target, peers.source, reason);
    exchange.conclude({ status: refusal.status });
  }

  function accept(exchange: HopExchange, targetStream: RelayStream): RelayStream {
    try {
      exchange.respond({ status: Status.OK, limit: circuitLimit(limits) });
      return exchange.toStream();
    } catch (error) {
      targetStream.reset(toError(error));
      throw error;
    }
  }

  /**
   * Asks the connection that holds the reservation. When the target reserves on another one meanwhile, because it changed
   * its network, that one is asked at once.
   */
  async function openTarget(
    source: PeerIdentity,
    target: string,
    work: Work,
  ): Promise<Result<{ readonly stream: RelayStream }, CircuitRefusal>> {
    let isEnded = false;
    const ask = async (holder: RelayStream['connection']): ReturnType<typeof openTarget> => {
      const attempt = openStop(source, holder);
      work.end = () => {
        isEnded = true;
        attempt.cancel();
      };
      const removeListener = reservations.onLost(holder, attempt.cancel);
      try {
        return await attempt.result;
      } finally {
        removeListener();
      }
    };
    const holder = reservations.holderOf(target);
    if (holder === undefined) return refused('no_reservation');
    const opened = await ask(holder);
    const next = reservations.holderOf(target);
    if (opened.ok || next === undefined || next === holder || isEnded) return opened;
    return ask(next);
  }

  async function run(
    sourceStream: RelayStream,
    targetStream: RelayStream,
    peers: CircuitPeers,
    work: Work,
  ): Promise<void> {
    metrics.circuit('ok');
    log.debug(peers, 'circuit opened');
    const circuit = running.join(sourceStream, targetStream, circuits.rateLimiters(peers.source));
    work.end = circuit.end.bind(circuit);
    const summary = await circuit.ended;
    metrics.circuitEnded(summary);
    log.debug({ ...peers, ...summary }, 'circuit ended');
  }

  return async (exchange, target) => {
    const { connection } = exchange;
    const { network, address } = connection;
    const peers = { source: connection.peer.id, target: target.id, address };
    if (connection.isRelayed) return refuse(exchange, peers, 'relayed');
    const work: Work = { end: () => {} };
    let isEvicted = false;
    const circuit: Circuit = {
      ...peers,
      address: network,
      evict() {
        isEvicted = true;
        work.end('evicted');
      },
    };
    const admitted = circuits.open(circuit);
    if (!admitted.ok) return refuse(exchange, peers, admitted.reason);
    exchange.onInterrupt = () => work.end('shutdown');
    try {
      const opened = await openTarget(connection.peer, peers.target, work);
      if (isEvicted) {
        if (opened.ok)
          opened.stream.reset(new Error('The relay gave the place of this circuit to another one.'));
        return refuse(exchange, peers, 'evicted');
      }
      if (!opened.ok) return refuse(exchange, peers, opened.reason);
      unreachablePeers.reached(peers.target);
      await run(accept(exchange, opened.stream), opened.stream, peers, work);
    } finally {
      circuits.close(circuit);
    }
  };
}

function isOfTarget(reason: CircuitRefusal): reason is TargetRefusal {
  return reason.startsWith('target_');
}
