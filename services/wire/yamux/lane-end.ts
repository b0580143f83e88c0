// A stream of yamux as the end of a lane: its windows are the credit and the capacity.
import type { LaneEnd } from '../layers.ts';
import { MAX_PAYLOAD_BYTES } from '../muxer/frame-size.ts';
import { blockedCapacity } from '../muxer/blocked-capacity.ts';
import type { YamuxStream } from './stream.ts';

/** Round trip, in milliseconds, from which on a device is distant. */
const DISTANT_MS = 10;

export class YamuxLaneEnd implements LaneEnd {
  readonly #stream: YamuxStream;

  constructor(stream: YamuxStream) {
    this.#stream = stream;
  }

  get capacity(): number {
    // What was written before the join goes first.
    if (this.#stream.queuedBytes > 0) return 0;
    return Math.min(this.#stream.sendWindow, blockedCapacity(this.#stream.session.below));
  }

  get isBlocked(): boolean {
    return this.#stream.session.below.isBlocked;
  }

  get isDistant(): boolean {
    return (this.#stream.session.roundTripMs ?? 0) >= DISTANT_MS;
  }

  get credit(): number {
    return this.#stream.credit;
  }

  send(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end && this.#stream.isOpen;) {
      const to = Math.min(end, at + MAX_PAYLOAD_BYTES);
      this.#stream.sendData(buffer, at, to, true);
      at = to;
    }
  }

  grant(bytes: number): void {
    if (!this.#stream.isOpen) return;
    this.#stream.credit += bytes;
    this.#stream.sendUpdate(0, bytes);
    // The first measurement may have met a busy device.
    if (this.isDistant) this.#stream.session.measureRoundTrip();
  }

  hold(): void {
    this.#stream.session.hold();
  }

  release(): void {
    this.#stream.session.release();
  }

  closeWrite(): void {
    this.#stream.closeWrite();
  }

  reset(): void {
    this.#stream.reset();
  }
}
