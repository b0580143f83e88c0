// The hop side of circuit-relay-v2: reads the request of each hop stream and passes it to its handler.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import { aborted } from '../shared/signals.ts';
import type { Buffers } from './buffers.ts';
import type { CircuitAdmission } from './circuit-admission.ts';
import type { RelayConfig } from './config.ts';
import type { RelayStream } from './connection.ts';
import { DeadlineQueue } from '../shared/deadline-queue.ts';
import { createConnectHandler } from './hop-connect.ts';
import { createHopExchange, HOP_TIMEOUT_MS, type HopExchange } from './hop-exchange.ts';
import type { HopEvents } from './hop-events.ts';
import { createReserveHandler } from './hop-reserve.ts';
import type { HopTiming } from './hop-timing.ts';
import { type RequestRejection, Status } from './messages.ts';
import type { RelayMetrics } from './metrics.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { ReservationStore } from './reservation-store.ts';
import type { UnreachablePeers } from './unreachable-peers.ts';

/** The response status for a message that is not a request. */
const REJECTION_STATUS: Record<RequestRejection, Status> = {
  malformed: Status.MALFORMED_MESSAGE,
  unexpected: Status.UNEXPECTED_MESSAGE,
};

export interface HopOptions extends HopTiming {
  readonly config: Pick<RelayConfig, 'identity' | 'limits'>;
  readonly reservations: ReservationStore;
  readonly circuits: CircuitAdmission;
  readonly buffers: Buffers;
  readonly unreachablePeers: UnreachablePeers;
  readonly metrics: RelayMetrics;
  readonly refusals: RefusalLog;
  readonly log: Logger;
  /** The addresses at which devices dial the relay, ending in its peer id. Empty when no network interface is up. */
  addresses(): ReadonlyArray<{ readonly bytes: Uint8Array }>;
  readonly events: HopEvents;
}

export interface Hop {
  /** Handles one stream of the hop protocol; never rejects. */
  handle(stream: RelayStream): Promise<void>;
  /** Resolves when all requests are served and all circuits have ended, or when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
  /** Ends all requests and circuits. */
  stop(): void;
}

export function createHop(options: HopOptions): Hop {
  const { metrics, log } = options;
  const serveReserve = createReserveHandler(options);
  const serveConnect = createConnectHandler(options);
  const deadlines = new DeadlineQueue(HOP_TIMEOUT_MS, { clock: options.clock });
  const running = new Map<HopExchange, Promise<void>>();
  let isStopped = false;

  async function serve(exchange: HopExchange, stream: RelayStream): Promise<void> {
    try {
      await answer(exchange);
    } catch (error) {
      log.debug({ peer: stream.connection.peer.id, error: describeError(error) }, 'hop failed');
      stream.reset(toError(error));
    }
    running.delete(exchange);
  }

  async function answer(exchange: HopExchange): Promise<void> {
    const read = await exchange.readRequest();
    if (!read.ok) {
      metrics.malformed();
      return exchange.conclude({ status: REJECTION_STATUS[read.reason] });
    }
    const { request } = read;
    if (request.type === 'reserve') return serveReserve(exchange);
    return serveConnect(exchange, request.target);
  }

  return {
    async handle(stream) {
      const exchange = createHopExchange(stream, deadlines);
      if (isStopped) return exchange.interrupt(stopped());
      const work = serve(exchange, stream);
      running.set(exchange, work);
      return work;
    },
    async settled(signal) {
      await Promise.race([Promise.all(running.values()), aborted(signal)]);
    },
    stop() {
      isStopped = true;
      for (const exchange of running.keys()) exchange.interrupt(stopped());
    },
  };
}

function stopped(): Error {
  return new Error('The relay has stopped.');
}
