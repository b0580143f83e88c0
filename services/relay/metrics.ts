// Every metric of the relay. No peer id is ever a label: their number has no bound.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { collectMemoryLimit, memoryLimitBytes } from '../shared/memory.ts';
import type { ProtectionOutcome } from '../private-network/psk.ts';
import type { CircuitSummary, Direction } from './circuit.ts';
import type { Refusal } from './admission.ts';
import type { RelayLimits } from './config.ts';

/** How a request for a reservation went. */
export type ReservationOutcome = 'ok' | 'relayed' | 'no_address' | Refusal;

/** How a request for a circuit went. */
export type CircuitOutcome = 'ok' | 'relayed' | 'target_unreachable' | Refusal;

const RESERVATION_OUTCOMES = [
  'ok',
  'relayed',
  'no_address',
  'draining',
  'rate',
  'reservations',
  'address',
] as const;
const CIRCUIT_OUTCOMES = [
  'ok',
  'relayed',
  'draining',
  'rate',
  'no_reservation',
  'circuits',
  'source',
  'target',
  'target_unreachable',
] as const;
const CIRCUIT_ENDS = ['closed', 'reset', 'bytes', 'duration', 'idle', 'shutdown'] as const;
const CONNECTION_REFUSALS = ['all', 'peer', 'address', 'pending'] as const;
const MUXERS = { '/yamux/1.0.0': 'yamux', '/mplex/6.7.0': 'mplex' } as const;
const HANDSHAKE_OUTCOMES = ['ok', 'wrong_key', 'no_nonce', 'no_greeting', 'unfinished'] as const;

/** From a short look to the longest circuit allowed by default. */
const DURATION_BUCKETS_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900];

/** Why a connection was refused: as many as there may be in all, of one peer, from one address, or in their handshake. */
export type ConnectionRefusal = (typeof CONNECTION_REFUSALS)[number];

/** How a handshake went; `unfinished` had the swarm key, and then failed or took too long. */
export type HandshakeOutcome = ProtectionOutcome | 'unfinished';

/** What is read when the metrics are. */
export interface RelayGauges {
  reservations(): number;
  circuits(): number;
  /** The muxer of each open connection. */
  muxers(): Iterable<string>;
  /** Connections in their handshake. */
  pending(): number;
  bufferedBytes(): number;
}

/** From a ping to the largest circuit allowed by default. */
const SIZE_BUCKETS_BYTES = [
  1024,
  16 * 1024,
  256 * 1024,
  1024 ** 2,
  4 * 1024 ** 2,
  16 * 1024 ** 2,
  64 * 1024 ** 2,
];

/** What is counted where it happens. */
export interface RelayMetrics {
  readonly registry: Registry;
  reservation(outcome: ReservationOutcome): void;
  circuit(outcome: CircuitOutcome): void;
  circuitEnded(summary: CircuitSummary): void;
  readonly bytes: (direction: Direction, bytes: number) => void;
  malformed(): void;
  handshake(outcome: HandshakeOutcome): void;
  connectionRefused(reason: ConnectionRefusal): void;
  idleClosed(): void;
  stuckClosed(): void;
  /** Says what is read when the metrics are. */
  observe(gauges: RelayGauges): void;
}

export function createRelayMetrics(limits: RelayLimits, cipher: string): RelayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  collectMemoryLimit(registry, memoryLimitBytes());

  const reservations = new Counter({
    name: 'rustory_relay_reservation_requests_total',
    help: 'Requests for a reservation, refreshes included, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const circuits = new Counter({
    name: 'rustory_relay_circuit_requests_total',
    help: 'Requests for a circuit, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const ends = new Counter({
    name: 'rustory_relay_circuits_ended_total',
    help: 'Circuits that ended, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const durations = new Histogram({
    name: 'rustory_relay_circuit_duration_seconds',
    help: 'How long circuits ran.',
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  const sizes = new Histogram({
    name: 'rustory_relay_circuit_size_bytes',
    help: 'How many bytes circuits carried, in both directions together.',
    buckets: SIZE_BUCKETS_BYTES,
    registers,
  });
  const bytes = new Counter({
    name: 'rustory_relay_relayed_bytes_total',
    help: 'Bytes passed on in circuits, by direction.',
    labelNames: ['direction'],
    registers,
  });
  const malformed = new Counter({
    name: 'rustory_relay_malformed_messages_total',
    help: 'Hop messages that were no request.',
    registers,
  });
  const handshakes = new Counter({
    name: 'rustory_relay_handshakes_total',
    help: 'Handshakes by how they went, from the swarm key to the muxer.',
    labelNames: ['outcome'],
    registers,
  });
  const refused = new Counter({
    name: 'rustory_relay_connections_refused_total',
    help: 'Connections refused because there are as many as there may be: in all, of one peer, from one address, in their handshake.',
    labelNames: ['reason'],
    registers,
  });
  const idle = new Counter({
    name: 'rustory_relay_idle_connections_closed_total',
    help: 'Connections closed because they had neither a reservation nor a stream for too long.',
    registers,
  });
  const stuck = new Counter({
    name: 'rustory_relay_stuck_connections_closed_total',
    help: 'Connections closed because they took nothing of what was sent for too long.',
    registers,
  });
  const limit = new Gauge({
    name: 'rustory_relay_limit',
    help: 'Configured limits, by resource; a limit that is not set has no series.',
    labelNames: ['resource'],
    registers,
  });
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined) limit.set({ resource: toSnakeCase(name) }, value);
  }
  new Gauge({
    name: 'rustory_relay_cipher_info',
    help: 'Always 1; the label says which cipher protects the connections.',
    labelNames: ['cipher'],
    registers,
  }).set({ cipher }, 1);

  // A series that is missing until its first event looks like one that is broken.
  for (const outcome of RESERVATION_OUTCOMES) reservations.inc({ outcome }, 0);
  for (const outcome of CIRCUIT_OUTCOMES) circuits.inc({ outcome }, 0);
  for (const reason of CIRCUIT_ENDS) ends.inc({ reason }, 0);
  for (const direction of ['to_target', 'to_source'] satisfies Direction[]) bytes.inc({ direction }, 0);
  // Counted for every message, so the series are looked up once.
  const passed = { to_target: bytes.labels('to_target'), to_source: bytes.labels('to_source') };
  for (const reason of CONNECTION_REFUSALS) refused.inc({ reason }, 0);
  for (const outcome of HANDSHAKE_OUTCOMES) handshakes.inc({ outcome }, 0);

  return {
    registry,
    reservation: (outcome) => reservations.inc({ outcome }),
    circuit: (outcome) => circuits.inc({ outcome }),
    circuitEnded(summary) {
      ends.inc({ reason: summary.end });
      durations.observe(summary.seconds);
      sizes.observe(summary.bytes);
    },
    bytes: (direction, count) => passed[direction].inc(count),
    malformed: () => malformed.inc(),
    handshake: (outcome) => handshakes.inc({ outcome }),
    connectionRefused: (reason) => refused.inc({ reason }),
    idleClosed: () => idle.inc(),
    stuckClosed: () => stuck.inc(),
    observe(gauges) {
      gauge(registry, 'rustory_relay_reservations', 'Reservations that hold now.', gauges.reservations);
      gauge(
        registry,
        'rustory_relay_circuits',
        'Circuits that run now, or are being set up.',
        gauges.circuits,
      );
      gauge(
        registry,
        'rustory_relay_buffered_bytes',
        'Bytes that wait in the relay for slower receivers.',
        gauges.bufferedBytes,
      );
      gauge(
        registry,
        'rustory_relay_pending_connections',
        'Connections that are in their handshake now.',
        gauges.pending,
      );
      const connections: Gauge<'muxer'> = new Gauge({
        name: 'rustory_relay_connections',
        help: 'Connections that are open now, by the muxer they speak.',
        labelNames: ['muxer'],
        registers,
        collect() {
          for (const muxer of Object.values(MUXERS)) connections.set({ muxer }, 0);
          for (const protocol of gauges.muxers()) {
            if (Object.hasOwn(MUXERS, protocol))
              connections.inc({ muxer: MUXERS[protocol as keyof typeof MUXERS] });
          }
        },
      });
    },
  };
}

// The value is read when the metrics are.
function gauge(registry: Registry, name: string, help: string, read: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
