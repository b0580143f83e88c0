// All metrics of the relay. Peer ids are never labels, because the number of peers is unbounded.
import { Counter, Gauge, Registry } from 'prom-client';
import {
  createCountedHistogram,
  createLabelledCounts,
  type LabelledCounts,
} from '../shared/counted-metrics.ts';
import { collectProcessMetrics } from '../shared/process-metrics.ts';
import { MUXER_VIOLATIONS, type MuxerViolation } from '../wire/muxer/violations.ts';
import type { CircuitSummary } from './circuit.ts';
import type { RelayLimits } from './config.ts';
import {
  CIRCUIT_ENDS,
  CIRCUIT_OUTCOMES,
  type CircuitOutcome,
  CONNECTION_REFUSALS,
  type ConnectionRefusal,
  type Direction,
  DIRECTIONS,
  HANDSHAKE_OUTCOMES,
  type HandshakeOutcome,
  outcomeNames,
  RESERVATION_OUTCOMES,
  type ReservationOutcome,
} from './outcomes.ts';

/** The label of each muxer protocol. */
const MUXERS = { '/yamux/1.0.0': 'yamux', '/mplex/6.7.0': 'mplex' } as const;

/** Buckets in seconds: from a single listing to the default `RELAY_CIRCUIT_SECONDS`. */
const DURATION_BUCKETS_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900];

const KIB = 1024;
const MIB = 1024 ** 2;

/** Buckets in bytes: from a ping to the default `RELAY_CIRCUIT_BYTES`. */
const SIZE_BUCKETS_BYTES = [KIB, 16 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB];

/** Values that are read at scrape time. */
export interface RelayGauges {
  reservations(): number;
  circuits(): number;
  /** The muxer protocol of each open connection. */
  muxers(): Iterable<string>;
  /** Pending handshakes. */
  pending(): number;
  /** Pending handshakes that wait for their turn. */
  waiting(): number;
  bufferedBytes(): number;
  /** Peers that others asked for in the last 10 minutes and that could not be reached. */
  unreachablePeers(): number;
  /** Those of them that could not be reached for 5 minutes. */
  lastingUnreachablePeers(): number;
}

/** Counts events, and registers gauges. */
export interface RelayMetrics {
  readonly registry: Registry;
  reservation(outcome: ReservationOutcome): void;
  circuit(outcome: CircuitOutcome): void;
  circuitEnded(summary: CircuitSummary): void;
  readonly bytes: (direction: Direction, bytes: number) => void;
  malformed(): void;
  handshake(outcome: HandshakeOutcome): void;
  connectionRefused(reason: ConnectionRefusal): void;
  muxerViolated(reason: MuxerViolation): void;
  idleClosed(): void;
  stuckClosed(): void;
  supersededClosed(): void;
  /** Registers the gauges. */
  observe(gauges: RelayGauges): void;
}

/** @param cipher name of the cipher that protects the connections */
export function createRelayMetrics(limits: RelayLimits, cipher: string): RelayMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  registerConfiguration(registry, limits, cipher);
  return {
    registry,
    ...createRequestCounters(registry),
    ...createCircuitMetrics(registry),
    ...createConnectionCounters(registry),
    observe: (gauges) => registerGauges(registry, gauges),
  };
}

/** Series that are constant while the relay runs. */
function registerConfiguration(registry: Registry, limits: RelayLimits, cipher: string): void {
  const registers = [registry];
  const limit = new Gauge({
    name: 'rustory_relay_limit',
    help: 'Configured limits, by resource. A limit that is not set has no series.',
    labelNames: ['resource'],
    registers,
  });
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined) limit.set({ resource: toSnakeCase(name) }, value);
  }
  new Gauge({
    name: 'rustory_relay_cipher_info',
    help: 'Always 1; the label is the cipher that encrypts connections with the swarm key.',
    labelNames: ['cipher'],
    registers,
  }).set({ cipher }, 1);
}

function createRequestCounters(registry: Registry) {
  const reservations = outcomeCounts(registry, 'outcome', outcomeNames(RESERVATION_OUTCOMES), {
    name: 'rustory_relay_reservation_requests_total',
    help: 'Reservation requests, refreshes included, by outcome.',
  });
  const circuits = outcomeCounts(registry, 'outcome', outcomeNames(CIRCUIT_OUTCOMES), {
    name: 'rustory_relay_circuit_requests_total',
    help: 'Circuit requests, by outcome.',
  });
  const malformed = new Counter({
    name: 'rustory_relay_malformed_messages_total',
    help: 'Hop messages that are not valid requests.',
    registers: [registry],
  });
  return {
    reservation: (outcome: ReservationOutcome) => reservations.increment(outcome),
    circuit: (outcome: CircuitOutcome) => circuits.increment(outcome),
    malformed: () => malformed.inc(),
  };
}

function createCircuitMetrics(registry: Registry) {
  const ends = outcomeCounts(registry, 'reason', outcomeNames(CIRCUIT_ENDS), {
    name: 'rustory_relay_circuits_ended_total',
    help: 'Circuits that ended, by reason.',
  });
  const durations = createCountedHistogram(registry, {
    name: 'rustory_relay_circuit_duration_seconds',
    help: 'Duration of circuits that ended.',
    buckets: DURATION_BUCKETS_SECONDS,
  }).series({});
  const sizes = createCountedHistogram(registry, {
    name: 'rustory_relay_circuit_size_bytes',
    help: 'Bytes relayed by circuits that ended, both directions together.',
    buckets: SIZE_BUCKETS_BYTES,
  }).series({});
  const relayed = outcomeCounts(registry, 'direction', outcomeNames(DIRECTIONS), {
    name: 'rustory_relay_relayed_bytes_total',
    help: 'Relayed bytes, by direction.',
  });
  return {
    circuitEnded({ end, seconds, bytes }: CircuitSummary) {
      ends.increment(end);
      durations.observe(seconds);
      sizes.observe(bytes);
    },
    bytes: (direction: Direction, count: number) => relayed.increment(direction, count),
  };
}

function createConnectionCounters(registry: Registry) {
  const registers = [registry];
  const handshakes = outcomeCounts(registry, 'outcome', outcomeNames(HANDSHAKE_OUTCOMES), {
    name: 'rustory_relay_handshakes_total',
    help: 'Handshakes, from the swarm key to the muxer, by outcome.',
  });
  const refusals = outcomeCounts(registry, 'reason', outcomeNames(CONNECTION_REFUSALS), {
    name: 'rustory_relay_connections_refused_total',
    help: 'Connections refused or evicted because a limit was reached, by limit.',
  });
  const violations = outcomeCounts(registry, 'reason', outcomeNames(MUXER_VIOLATIONS), {
    name: 'rustory_relay_muxer_violations_total',
    help: 'Connections closed because of what their peer sent to the muxer, by reason.',
  });
  const idle = new Counter({
    name: 'rustory_relay_idle_connections_closed_total',
    help: 'Connections closed at the idle timeout, with neither a reservation nor a stream.',
    registers,
  });
  const stuck = new Counter({
    name: 'rustory_relay_stuck_connections_closed_total',
    help: 'Connections closed because the peer received no bytes although the relay had bytes to send.',
    registers,
  });
  const superseded = new Counter({
    name: 'rustory_relay_superseded_connections_closed_total',
    help: 'Connections closed because their peer reserved on another connection and they did not answer a ping.',
    registers,
  });
  return {
    handshake: (outcome: HandshakeOutcome) => handshakes.increment(outcome),
    connectionRefused: (reason: ConnectionRefusal) => refusals.increment(reason),
    muxerViolated: (reason: MuxerViolation) => violations.increment(reason),
    idleClosed: () => idle.inc(),
    stuckClosed: () => stuck.inc(),
    supersededClosed: () => superseded.inc(),
  };
}

function registerGauges(registry: Registry, gauges: RelayGauges): void {
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('rustory_relay_reservations', 'Reservations.', gauges.reservations);
  gauge('rustory_relay_circuits', 'Circuits that run or are being set up.', gauges.circuits);
  gauge('rustory_relay_buffered_bytes', 'Bytes buffered for slow receivers.', gauges.bufferedBytes);
  gauge('rustory_relay_pending_connections', 'Pending handshakes.', gauges.pending);
  gauge('rustory_relay_waiting_connections', 'Pending handshakes that wait for their turn.', gauges.waiting);
  gauge(
    'rustory_relay_unreachable_peers',
    'Peers that others asked for in the last 10 minutes, and that have not been reached since the first failure.',
    gauges.unreachablePeers,
  );
  gauge(
    'rustory_relay_lasting_unreachable_peers',
    'Unreachable peers whose failures span at least 5 minutes.',
    gauges.lastingUnreachablePeers,
  );
  const connections: Gauge<'muxer'> = new Gauge({
    name: 'rustory_relay_connections',
    help: 'Open connections, by muxer.',
    labelNames: ['muxer'],
    registers: [registry],
    collect() {
      for (const muxer of Object.values(MUXERS)) connections.set({ muxer }, 0);
      for (const protocol of gauges.muxers()) {
        if (Object.hasOwn(MUXERS, protocol))
          connections.inc({ muxer: MUXERS[protocol as keyof typeof MUXERS] });
      }
    },
  });
}

/** A counter with one label. All its series exist from the start, so that queries can distinguish zero from absent. */
function outcomeCounts<Value extends string>(
  registry: Registry,
  label: string,
  values: readonly Value[],
  description: { readonly name: string; readonly help: string },
): LabelledCounts<Value> {
  return createLabelledCounts(registry, { ...description, label, values });
}

/** `bufferedBytes` as `buffered_bytes`. */
function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
