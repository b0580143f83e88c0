// What the hop side reports about reservations, for modules that watch which peers can be reached. The
// callbacks run within the request, so they must be cheap and must not throw.
import type { RelayConnection } from './connection.ts';

/** A reservation and the connection that holds it, which has the peer id and the address. */
export interface ReservationEvent {
  readonly peer: string;
  readonly connection: RelayConnection;
}

export interface HopEvents {
  /** A connection holds a reservation from now on. `kind` is `moved` when another connection of the peer held it. */
  granted(event: ReservationEvent & { readonly kind: 'new' | 'moved' }): void;
  /** A connection holds its reservation no longer: it closed, or the peer reserved on another connection. */
  released(event: ReservationEvent & { readonly ageMs: number; readonly reason: 'closed' | 'moved' }): void;
}

export const NO_HOP_EVENTS: HopEvents = { granted() {}, released() {} };
