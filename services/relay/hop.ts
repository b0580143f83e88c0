// The hop side of circuit-relay-v2: reads the request of each hop stream and passes it to its handler.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
import type { Connection, Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import { loopTimeout } from '../shared/loop-clock.ts';
import { aborted, anySignal } from '../shared/signals.ts';
import type { Buffers } from './buffers.ts';
import type { CircuitAdmission } from './circuit-admission.ts';
import type { RelayConfig } from './config.ts';
import { createConnectHandler } from './hop-connect.ts';
import { createHopExchange } from './hop-exchange.ts';
import type { HopEvents } from './hop-events.ts';
import { createReserveHandler } from './hop-reserve.ts';
import type { HopTiming } from './hop-timing.ts';
import { MAX_REFUSAL_DELAY_MS } from './late-answers.ts';
import { type RequestRejection, Status } from './messages.ts';
import type { RelayMetrics } from './metrics.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { ReservationStore } from './reservation-store.ts';
import type { UnreachablePeers } from './unreachable-peers.ts';

/**
 * Deadline of one exchange of hop messages, in milliseconds: 15 s for its messages and for the target, and the longest
 * delay of a late answer. Clients give up after about 10 to 60 seconds.
 */
const HOP_TIMEOUT_MS = 15_000 + MAX_REFUSAL_DELAY_MS;

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
  addresses(): readonly Multiaddr[];
  readonly events: HopEvents;
}

export interface Hop {
  /** Handles one stream of the hop protocol; never rejects. */
  handle(stream: Stream, connection: Connection): Promise<void>;
  /** Resolves when all requests are served and all circuits have ended, or when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
  /** Ends all circuits. */
  stop(): void;
}

export function createHop(options: HopOptions): Hop {
  const { metrics, log } = options;
  const shutdown = new AbortController();
  const serveReserve = createReserveHandler(options);
  const serveConnect = createConnectHandler(options, shutdown.signal);
  const running = new Set<Promise<void>>();

  async function serve(stream: Stream, connection: Connection): Promise<void> {
    const signal = anySignal(shutdown.signal, loopTimeout(options.clock, HOP_TIMEOUT_MS));
    const exchange = createHopExchange(stream, signal);
    const read = await exchange.readRequest();
    if (!read.ok) {
      metrics.malformed();
      return exchange.conclude({ status: REJECTION_STATUS[read.reason] });
    }
    const { request } = read;
    if (request.type === 'reserve') return serveReserve(exchange, connection);
    return serveConnect(exchange, connection, request.target, signal);
  }

  return {
    async handle(stream, connection) {
      const work = serve(stream, connection).catch((error: unknown) => {
        log.debug({ peer: connection.remotePeer.toString(), error: describeError(error) }, 'hop failed');
        stream.abort(toError(error));
      });
      running.add(work);
      await work;
      running.delete(work);
    },
    async settled(signal) {
      await Promise.race([Promise.all(running), aborted(signal)]);
    },
    stop: () => shutdown.abort(),
  };
}
