// A stream of mplex as the end of a lane: its device is slowed down only by not reading its connection.
import type { LaneEnd } from '../layers.ts';
import { blockedCapacity } from '../muxer/blocked-capacity.ts';
import { MAX_PAYLOAD_BYTES } from '../muxer/frame-size.ts';
import type { MplexStream } from './stream.ts';

export class MplexLaneEnd implements LaneEnd {
  /** mplex limits no stream. */
  readonly credit = Infinity;
  readonly isDistant = false;
  readonly #stream: MplexStream;

  constructor(stream: MplexStream) {
    this.#stream = stream;
  }

  get capacity(): number {
    // What was written before the join goes first.
    if (this.#stream.queuedBytes > 0) return 0;
    return blockedCapacity(this.#stream.session.below);
  }

  get isBlocked(): boolean {
    return this.#stream.session.below.isBlocked;
  }

  send(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end && this.#stream.isOpen;) {
      const to = Math.min(end, at + MAX_PAYLOAD_BYTES);
      this.#stream.sendData(buffer, at, to, true);
      at = to;
    }
  }

  grant(): void {
    // The device needs none.
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
