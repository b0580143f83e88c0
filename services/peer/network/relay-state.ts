// The state of one configured relay: whether a reservation is held, and the time of the next request.
import type { Relay } from './relays.ts';

export interface RelayTimings {
  /** Pause after the first failed request in milliseconds. It doubles with each further one. */
  readonly backoffBaseMs: number;
  /** Maximum pause after a failed request in milliseconds. */
  readonly backoffCapMs: number;
  /**
   * Maximum time before a reservation is renewed, in milliseconds. It is bounded, because the remaining lifetime is
   * computed with the clock of this machine, which may be wrong.
   */
  readonly renewMaxMs: number;
  /**
   * Minimum time before a reservation is renewed, in milliseconds. It is more than a moment for the same reason: by a
   * clock that is ahead, every reservation ends soon.
   */
  readonly renewMinMs: number;
  /**
   * A reservation that is lost before this time, in milliseconds, counts as a failed request, so that there is a pause
   * before the next request to a relay that grants and drops reservations.
   */
  readonly stableMs: number;
}

export const RELAY_TIMINGS: RelayTimings = {
  backoffBaseMs: 500,
  backoffCapMs: 8_000,
  renewMinMs: 15_000,
  renewMaxMs: 600_000,
  stableMs: 10_000,
};

export interface RelayState {
  /** The preferred multiaddr of the relay, which names it in the log. */
  readonly relay: string;
  /** All its multiaddrs. */
  readonly addresses: readonly string[];
  readonly peerId: string;
  readonly isHeld: boolean;
  /** Time of the next request or renewal, on the monotonic clock in milliseconds. */
  readonly dueMs: number;
  /** The reason of the last failed request; empty after a success. */
  readonly reason: string;
  /** The relay granted a reservation with this lifetime. It is renewed after half of its lifetime. */
  granted(lifetimeMs: number): void;
  /** The reservation was lost. Returns the pause before the next request in milliseconds. */
  lost(): number;
  /** A request failed. Returns the pause before the next request in milliseconds. */
  failed(reason: string): number;
}

export function createRelayState(
  { peerId, addresses }: Relay,
  nowMs: () => number,
  random: () => number,
  timings: RelayTimings = RELAY_TIMINGS,
): RelayState {
  let isHeld = false;
  let heldSinceMs = 0;
  let dueMs = 0;
  let failures = 0;
  let reason = '';

  /** Exponential backoff, with jitter so that devices do not send requests at the same time. */
  function backOff(): number {
    const pauseMs =
      Math.min(timings.backoffBaseMs * 2 ** failures, timings.backoffCapMs) * (0.5 + random() / 2);
    failures += 1;
    dueMs = nowMs() + pauseMs;
    return Math.round(pauseMs);
  }

  return {
    relay: addresses[0] ?? '',
    addresses,
    peerId,
    get isHeld() {
      return isHeld;
    },
    get dueMs() {
      return dueMs;
    },
    get reason() {
      return reason;
    },
    granted(lifetimeMs) {
      if (!isHeld) heldSinceMs = nowMs();
      isHeld = true;
      reason = '';
      const renewMs = lifetimeMs > 0 ? Math.max(lifetimeMs / 2, timings.renewMinMs) : timings.renewMaxMs;
      dueMs = nowMs() + Math.min(renewMs, timings.renewMaxMs);
    },
    lost() {
      isHeld = false;
      if (nowMs() - heldSinceMs >= timings.stableMs) failures = 0;
      return backOff();
    },
    failed(failure) {
      reason = failure;
      return backOff();
    },
  };
}
