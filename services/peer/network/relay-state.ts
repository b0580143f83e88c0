// One relay on the list of a device: whether its reservation is held, and when to ask for it again.
import { peerIdOf } from './addresses.ts';

/** Pause after the first failed attempt, doubled with each further one up to the longest, in milliseconds. */
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 8_000;

/**
 * When a reservation that is held is asked for again, in milliseconds: after half of its life, and every ten minutes at
 * least, because what is left of it is measured by the clock of this machine, which may be wrong.
 */
const REFRESH_MIN_MS = 1_000;
const REFRESH_MAX_MS = 600_000;

/** A reservation that is lost sooner than this did not last, in milliseconds. */
const LASTING_MS = 10_000;

export class RelayPlace {
  readonly relay: string;
  readonly peerId: string;
  held = false;
  /** When to ask for it, or to ask again while it is held, in milliseconds of the clock. */
  dueAt = 0;
  /** Why the last attempt failed. */
  reason = '';
  #heldAt = 0;
  #failures = 0;
  readonly #clock: () => number;
  readonly #random: () => number;

  constructor(relay: string, clock: () => number, random: () => number) {
    this.relay = relay;
    this.peerId = peerIdOf(relay) ?? '';
    this.#clock = clock;
    this.#random = random;
  }

  /** `lifeMs` is how long the relay says that it keeps the reservation. */
  granted(lifeMs: number): void {
    if (!this.held) this.#heldAt = this.#clock();
    this.held = true;
    this.reason = '';
    const refreshMs = lifeMs > 0 ? Math.max(lifeMs / 2, REFRESH_MIN_MS) : REFRESH_MAX_MS;
    this.dueAt = this.#clock() + Math.min(refreshMs, REFRESH_MAX_MS);
  }

  /** Answers how long to pause, in milliseconds. */
  lost(): number {
    this.held = false;
    // What did not last counts as failed: a relay that grants and drops must not be asked without pause.
    if (this.#clock() - this.#heldAt >= LASTING_MS) this.#failures = 0;
    return this.#backOff();
  }

  /** Answers how long to pause, in milliseconds. */
  failed(reason: string): number {
    this.reason = reason;
    return this.#backOff();
  }

  /** The longer the more failed in a row; the jitter keeps devices apart. */
  #backOff(): number {
    const pause =
      Math.min(BACKOFF_BASE_MS * 2 ** this.#failures, BACKOFF_CAP_MS) * (0.5 + this.#random() / 2);
    this.#failures += 1;
    this.dueAt = this.#clock() + pause;
    return Math.round(pause);
  }
}
