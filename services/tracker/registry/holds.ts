// Holds: a peer id that tokens of one user registered for a day stays with this user while its device is away, so that
// a token of another user cannot take the id of a device that sleeps. Both registries store the holds. They are as
// durable as the store: the memory of the process, or a Redis with persistence.
const HOUR_SECONDS = 3_600;

/** Seconds from the first registration with a token of the user to the last one, from which on the peer id is held. */
export const TENURE_SECONDS = 24 * HOUR_SECONDS;

/** Seconds without a registration after which a held peer id is free again. */
export const ABSENCE_SECONDS = 30 * TENURE_SECONDS;

/**
 * Seconds between two writes of a hold. Devices register every 30 seconds; writing each time would double the work. A
 * hold lasts longer by this time, because its last write may be that much older than the last registration.
 */
export const RENEWAL_SECONDS = HOUR_SECONDS;

/**
 * Maximum holds of one user. Above this limit a new peer id replaces the hold of the device that was absent longest, if
 * it was absent for a day; otherwise the new peer id gets no hold.
 */
export const MAX_HOLDS_PER_USER = 1_000;

/** A hold, by the clock of the registry, in microseconds. */
export interface Hold {
  readonly firstMicros: number;
  readonly lastMicros: number;
}

/** Whether the peer id is kept for its user against tokens of other users. */
export function isTenured({ firstMicros, lastMicros }: Hold): boolean {
  return lastMicros - firstMicros >= TENURE_SECONDS * 1_000_000;
}

/** Seconds after its last write for which a hold is stored: before a day of registrations, no longer than a day. */
export function holdSeconds(hold: Hold): number {
  return (isTenured(hold) ? ABSENCE_SECONDS : TENURE_SECONDS) + RENEWAL_SECONDS;
}

/** Whether a registration at this time must write the hold again. */
export function isRenewalDue(hold: Hold, nowMicros: number): boolean {
  const renewed: Hold = { ...hold, lastMicros: nowMicros };
  return (
    nowMicros - hold.lastMicros >= RENEWAL_SECONDS * 1_000_000 || (isTenured(renewed) && !isTenured(hold))
  );
}
