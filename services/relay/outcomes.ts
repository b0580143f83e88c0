// Every outcome and reason that the relay reports, each declared once. The keys are the values of metric labels; union
// types, the series that exist from the start, the status of a refused circuit and `docs/metrics.md` derive from here.
import { PROTECTION_OUTCOMES } from '../wire/psk-outcomes.ts';
import { Status } from './messages.ts';

/** An outcome as the documentation shows it. */
export interface Outcome {
  /** One sentence: the meaning. */
  readonly doc: string;
  /** The variable to raise, or to set; the documentation and the log lines about refusals name it. */
  readonly setting?: string;
}

/** The settings that are not numbers. All others are raised. */
const SETTINGS_WITHOUT_NUMBER: ReadonlySet<string> = new Set(['RELAY_ANNOUNCE', 'RELAY_PROXY_PROTOCOL']);

/** The meaning of an outcome, and what to set. */
export function outcomeDoc({ doc, setting }: Outcome): string {
  if (setting === undefined) return doc;
  return `${doc} ${SETTINGS_WITHOUT_NUMBER.has(setting) ? 'Set' : 'Raise'} \`${setting}\`.`;
}

/** A reason to refuse a circuit, with its response status. */
export interface CircuitRefusalOutcome extends Outcome {
  readonly status: Status;
  /** Whether the cause is that the target cannot be reached through this relay. Default false. */
  readonly isUnreachable?: boolean;
}

const OK = { ok: { doc: 'The request was served.' } } as const satisfies Record<string, Outcome>;

/** Reasons to refuse a reservation. The response status is always RESERVATION_REFUSED. */
export const RESERVATION_REFUSALS = {
  relayed: { doc: 'The request came over a circuit of another relay.' },
  no_address: {
    doc: 'The relay has no address to announce, because no network interface is up.',
    setting: 'RELAY_ANNOUNCE',
  },
  draining: { doc: 'The relay is stopping. Refreshes are still served.' },
  rate: {
    doc: 'One peer reserved on new connections more often per minute than its limit.',
    setting: 'RELAY_RESERVATIONS_PER_MINUTE',
  },
  reservations: {
    doc: 'The relay has the maximum number of reservations: add a relay, or memory.',
    setting: 'RELAY_MAX_RESERVATIONS',
  },
  address: {
    doc: 'One address has its maximum number of reservations.',
    setting: 'RELAY_MAX_RESERVATIONS_PER_ADDRESS',
  },
} as const satisfies Record<string, Outcome>;
export type ReservationRefusal = keyof typeof RESERVATION_REFUSALS;

/** Reasons to refuse a circuit, each with the status that the specification assigns to it. */
export const CIRCUIT_REFUSALS = {
  relayed: {
    status: Status.PERMISSION_DENIED,
    doc: 'The request came over a circuit of another relay.',
  },
  draining: { status: Status.RESOURCE_LIMIT_EXCEEDED, doc: 'The relay is stopping.' },
  rate: {
    status: Status.RESOURCE_LIMIT_EXCEEDED,
    doc: 'One peer sent more requests per minute than its limit.',
    setting: 'RELAY_CIRCUITS_PER_MINUTE',
  },
  no_reservation: {
    status: Status.NO_RESERVATION,
    isUnreachable: true,
    doc: 'The target has no reservation on this relay. Some of these refusals are normal, because devices go offline.',
  },
  circuits: {
    status: Status.RESOURCE_LIMIT_EXCEEDED,
    doc: 'The relay has the maximum number of circuits: add a relay, or memory.',
    setting: 'RELAY_MAX_CIRCUITS',
  },
  evicted: {
    status: Status.RESOURCE_LIMIT_EXCEEDED,
    doc: 'The circuit was evicted before it was set up: the relay had the maximum number of circuits, and a device of an address without any requested one. Only with `RELAY_ADDRESSES_ARE_REAL`.',
    setting: 'RELAY_MAX_CIRCUITS',
  },
  source: {
    status: Status.RESOURCE_LIMIT_EXCEEDED,
    doc: 'The requesting peer has its maximum number of circuits as source.',
    setting: 'RELAY_MAX_CIRCUITS_PER_PEER',
  },
  target: {
    status: Status.RESOURCE_LIMIT_EXCEEDED,
    doc: 'The target has its maximum number of circuits as target.',
    setting: 'RELAY_MAX_CIRCUITS_PER_TARGET',
  },
  target_unreachable: {
    status: Status.CONNECTION_FAILED,
    isUnreachable: true,
    doc: 'The target has a reservation but refused the circuit, closed its connection, or sent other bytes and no response in time.',
  },
  target_no_answer: {
    status: Status.CONNECTION_FAILED,
    isUnreachable: true,
    doc: 'The target has a reservation and sent bytes shortly before, but no byte for 8 seconds after the request: its network was interrupted.',
  },
  target_quiet: {
    status: Status.CONNECTION_FAILED,
    isUnreachable: true,
    doc: 'The target has a reservation, but sent no byte for 20 seconds and none within 2 seconds after a ping.',
  },
  target_still_quiet: {
    status: Status.CONNECTION_FAILED,
    isUnreachable: true,
    doc: 'The target left an earlier request unanswered and has sent no byte since. The circuit was refused at once.',
  },
} as const satisfies Record<string, CircuitRefusalOutcome>;
export type CircuitRefusal = keyof typeof CIRCUIT_REFUSALS;

/** Reasons of the target of a circuit. */
export type TargetRefusal = Extract<CircuitRefusal, `target_${string}`>;

/** Outcomes of a reservation request. */
export const RESERVATION_OUTCOMES = { ...OK, ...RESERVATION_REFUSALS };
export type ReservationOutcome = keyof typeof RESERVATION_OUTCOMES;

/** Outcomes of a circuit request. */
export const CIRCUIT_OUTCOMES = { ...OK, ...CIRCUIT_REFUSALS };
export type CircuitOutcome = keyof typeof CIRCUIT_OUTCOMES;

/** Why a circuit ended. */
export const CIRCUIT_ENDS = {
  closed: { doc: 'Both sides closed the circuit: the normal end of a sync.' },
  reset: { doc: 'One side reset the circuit, or a connection was lost.' },
  bytes: { doc: 'The circuit reached `RELAY_CIRCUIT_BYTES`; the sync continues over a new circuit.' },
  duration: { doc: 'The circuit reached `RELAY_CIRCUIT_SECONDS`; the sync continues over a new circuit.' },
  idle: { doc: 'The circuit relayed no byte for `RELAY_CIRCUIT_IDLE_SECONDS`.' },
  evicted: {
    doc: 'The relay had the maximum number of circuits, and the newest one of the address with the most was reset for a device of an address without any. The sync continues over a new circuit. Only with `RELAY_ADDRESSES_ARE_REAL`.',
    setting: 'RELAY_MAX_CIRCUITS',
  },
  shutdown: { doc: 'The relay stopped before the circuit was closed. Raise `RELAY_DRAIN_SECONDS`.' },
} as const satisfies Record<string, Outcome>;
export type CircuitEnd = keyof typeof CIRCUIT_ENDS;

/** Directions of a circuit. */
export const DIRECTIONS = {
  to_target: { doc: 'From the peer that opened the circuit to the peer with the reservation.' },
  to_source: { doc: 'From the peer with the reservation to the peer that opened the circuit.' },
} as const satisfies Record<string, Outcome>;
export type Direction = keyof typeof DIRECTIONS;

/** Reasons to refuse a connection, or to evict one in its handshake. */
export const CONNECTION_REFUSALS = {
  all: {
    doc: 'The relay has the maximum number of connections, each with a reservation or a circuit: add a relay, or memory.',
    setting: 'RELAY_MAX_CONNECTIONS',
  },
  idle: {
    doc: 'The relay had the maximum number of connections, and the longest idle one without a reservation or a circuit was closed for a new one.',
    setting: 'RELAY_MAX_CONNECTIONS',
  },
  peer: {
    doc: 'One peer has its maximum number of connections.',
    setting: 'RELAY_MAX_CONNECTIONS_PER_PEER',
  },
  quiet: {
    doc: 'A peer with `RELAY_MAX_CONNECTIONS_PER_PEER` connections opened another one, and its connection that had sent no byte for the longest time, at least 30 seconds, was closed. Normal for a device that changes its network.',
  },
  replaced: {
    doc: 'The relay had the maximum number of reservations, and of those whose connection had sent no byte for 18 minutes the longest quiet one was closed for a new device.',
    setting: 'RELAY_MAX_RESERVATIONS',
  },
  evicted: {
    doc: 'The relay had the maximum number of reservations, and the newest one of the address with the most was closed for a device of an address without any. Only with `RELAY_ADDRESSES_ARE_REAL`.',
    setting: 'RELAY_MAX_RESERVATIONS',
  },
  crowding: {
    doc: 'The relay had the maximum number of connections, each with a reservation or a circuit, and the newest one of the address with the most was closed for a device of an address without any. Only with `RELAY_ADDRESSES_ARE_REAL`.',
    setting: 'RELAY_MAX_CONNECTIONS',
  },
  address: {
    doc: 'One address has its maximum number of connections.',
    setting: 'RELAY_MAX_CONNECTIONS_PER_ADDRESS',
  },
  pending: {
    doc: 'A pending handshake was evicted because too many were pending: a flood, or many devices that reconnect at the same time.',
    setting: 'RELAY_MAX_PENDING_CONNECTIONS',
  },
} as const satisfies Record<string, Outcome>;
export type ConnectionRefusal = keyof typeof CONNECTION_REFUSALS;

/** Outcomes of a handshake, from the swarm key to the muxer. */
export const HANDSHAKE_OUTCOMES = {
  ...PROTECTION_OUTCOMES,
  ok: { doc: 'The handshake was completed.' },
  proxy_protocol: {
    doc: 'The connection begins with a header of the PROXY protocol, which a load balancer sends. Turn it off there, or trust it.',
    setting: 'RELAY_PROXY_PROTOCOL',
  },
  unfinished: {
    doc: 'The other side has the swarm key, but its handshake failed or took longer than `RELAY_HANDSHAKE_SECONDS`.',
  },
  abandoned: {
    doc: 'The other side has the swarm key, and closed the connection while its handshake waited for its turn.',
  },
  no_turn: {
    doc: 'The handshake waited 60 seconds for its turn: the relay lacks CPU time. Add a relay.',
  },
} as const satisfies Record<string, Outcome>;
export type HandshakeOutcome = keyof typeof HANDSHAKE_OUTCOMES;

/** The names of a list of outcomes, in the order of the list. */
export function outcomeNames<Name extends string>(outcomes: Readonly<Record<Name, Outcome>>): Name[] {
  return Object.keys(outcomes) as Name[];
}
