// Watches reservations for two mistakes that only the relay can see: a device whose clock is ahead, and two devices with
// the same identity key.
import { createLimitedLog } from '../shared/limited-log.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import type { HopEvents, ReservationEvent } from './hop-events.ts';
import type { Liveness } from './liveness.ts';

/**
 * Age of a reservation up to which its end is suspicious, in milliseconds. A client that finds its reservation expired,
 * because its clock is ahead, closes the connection at its idle timeout, after 7 to 10 seconds; that of `rr` 1.x is
 * released after 10.0 to 10.1 seconds.
 */
const DROPPED_AT_ONCE_MS = 12_000;

/**
 * Time after a reservation has moved until the bytes of the previous connection count, in milliseconds. Before, they
 * may be the last ones of a device that changed its network.
 */
const MOVING_MS = 5_000;

/** Time in which the previous connection must send a byte, in milliseconds: rr pings every 15 seconds. */
const IN_USE_MS = 60_000 - MOVING_MS;

/** Maximum previous connections that are watched. Above this limit further ones are not watched. */
const MAX_WATCHED = 1_024;

/** Maximum log lines of one kind per minute. */
const LINES_PER_MINUTE = 6;

export interface ReservationWatchOptions {
  readonly log: Logger;
  readonly clock: Pick<LoopClock, 'nowMs' | 'after'>;
  readonly liveness: Pick<Liveness, 'listen'>;
}

export interface ReservationWatch extends HopEvents {
  /** Stops reporting: reservations that end from now on are ended by the relay. */
  drain(): void;
}

export function createReservationWatch({ log, clock, liveness }: ReservationWatchOptions): ReservationWatch {
  const logLimited = createLimitedLog<'clock' | 'identity'>({
    log,
    perMinute: LINES_PER_MINUTE,
    nowMs: clock.nowMs,
  });
  /** The connection that a peer reserved on before, from the event that ends its reservation to the next one. */
  const previous = new Map<string, ReservationEvent['connection']>();
  let watched = 0;
  let isDraining = false;

  async function watchPrevious(peer: string, connections: ReservationEvent['connection'][]): Promise<void> {
    const [before, after] = connections;
    if (before === undefined || after === undefined || before.network === after.network) return;
    if (watched >= MAX_WATCHED) return;
    watched += 1;
    await new Promise<void>((resolve) => void clock.after(MOVING_MS, resolve));
    const isInUse = before.isOpen && (await liveness.listen(before).within(IN_USE_MS));
    watched -= 1;
    if (!isInUse || isDraining || !after.isOpen) return;
    const addresses = connections.map(({ address }) => address);
    logLimited(
      'identity',
      { peer, addresses },
      'two devices reserve with one peer id: is its identity key copied?',
      peer,
    );
  }

  return {
    granted({ peer, connection, kind }) {
      const before = previous.get(peer);
      previous.delete(peer);
      if (kind === 'moved' && before !== undefined) void watchPrevious(peer, [before, connection]);
    },
    released({ peer, connection, ageMs, reason }) {
      if (isDraining) return;
      if (reason === 'moved') previous.set(peer, connection);
      else if (ageMs <= DROPPED_AT_ONCE_MS) {
        const fields = { peer, address: connection.address, seconds: Math.round(ageMs / 1000) };
        logLimited('clock', fields, 'reservation dropped at once: is its clock ahead?', peer);
      }
    },
    drain: () => void (isDraining = true),
  };
}
