// One relay on the list of a device: whether its reservation is held, and when to ask it again if not.
import { peerIdOf } from './addresses.ts';

/** Pause after the first failed attempt, doubled with each further one up to the longest, in milliseconds. */
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 8_000;

/** A reservation that is lost sooner than this did not last, in milliseconds. */
const LASTING_MS = 10_000;

export class RelayPlace {
  readonly relay: string;
  readonly peerId: string;
  held = false;
  /** When the next attempt is due, in milliseconds of the clock. */
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

  granted(): void {
    this.held = true;
    this.reason = '';
    this.#heldAt = this.#clock();
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
