// A stream of yamux: the windows of both directions, and its life (https://github.com/hashicorp/yamux/blob/master/spec.md,
// sections "Flow Control", "Opening a stream" and "Closing a stream").
import type { LaneEnd, LaneListener } from '../layers.ts';
import { MuxStream } from '../muxer/stream.ts';
import { FLAGS, FRAME_TYPES, INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES } from './codec.ts';
import { YamuxLaneEnd } from './lane-end.ts';
import type { YamuxSession } from './session.ts';

/**
 * The receive window doubles when half of it was used within as many round trips: then the window limits the speed, not
 * the line or the reader.
 */
const GROWTH_ROUND_TRIPS = 4;

export class YamuxStream extends MuxStream {
  readonly session: YamuxSession;
  /** Bytes that the other side accepts. */
  sendWindow = INITIAL_WINDOW_BYTES;
  /** Bytes that the other side may still send. */
  credit = INITIAL_WINDOW_BYTES;
  /** Whether the other side has answered to a stream of ours. */
  isAcknowledged: boolean;
  /** SYN or ACK for the first frame that is sent. */
  #firstFlags: number;
  /** Bytes that the other side may send without waiting; grows up to the maximum of the session. */
  #window = INITIAL_WINDOW_BYTES;
  #updatedAtMs: number;

  constructor(session: YamuxSession, id: number, isInbound: boolean) {
    super(id, isInbound);
    this.session = session;
    this.isAcknowledged = isInbound;
    this.#firstFlags = isInbound ? FLAGS.ack : FLAGS.syn;
    this.#updatedAtMs = session.nowMs();
  }

  /** Opens the stream for the other side, unless the first data has. */
  announce(): void {
    if (this.isOpen && this.#firstFlags === FLAGS.syn) this.sendUpdate(0, 0);
  }

  /** Sends a window update, with which yamux also opens, closes and resets streams. */
  sendUpdate(flags: number, bytes: number): void {
    this.session.sendControl(FRAME_TYPES.windowUpdate, flags | this.#takeFirstFlags(), this.id, bytes);
  }

  override sendData(buffer: Buffer, start: number, end: number, isSpent: boolean): void {
    this.sendWindow -= end - start;
    this.session.sendData(this.id, this.#takeFirstFlags(), buffer, start, end, isSpent);
  }

  /** The other side accepts more bytes. Returns false when the window would be too large. */
  addWindow(bytes: number): boolean {
    this.sendWindow += bytes;
    if (this.sendWindow > MAX_WINDOW_BYTES) return false;
    if (bytes > 0) this.flush();
    if (this.lane !== undefined) this.session.gainCapacity(this);
    return true;
  }

  /** Data of the other side, within the credit. */
  override onPayload(buffer: Buffer, start: number, end: number): void {
    this.credit -= end - start;
    super.onPayload(buffer, start, end);
  }

  override toLaneEnd(listener: LaneListener): LaneEnd {
    this.join(listener);
    return new YamuxLaneEnd(this);
  }

  protected override sendFin(): void {
    this.sendUpdate(FLAGS.fin, 0);
  }

  protected override sendReset(): void {
    // The other side does not know a stream of ours that has sent nothing.
    if (this.#firstFlags !== FLAGS.syn) this.sendUpdate(FLAGS.rst, 0);
  }

  protected override sendLimit(): number {
    return this.sendWindow;
  }

  /** Renews the credit when half of the window was used, so that few updates are sent and the other side never waits. */
  protected override onConsumed(): void {
    const isReading = !this.isPaused && !this.isRemoteEnded && this.lane === undefined;
    if (!isReading || this.#window - this.credit - this.waitingBytes < this.#window / 2) return;
    const { roundTripMs, maxWindowBytes } = this.session;
    const nowMs = this.session.nowMs();
    if (roundTripMs !== undefined && nowMs - this.#updatedAtMs <= GROWTH_ROUND_TRIPS * roundTripMs)
      this.#window = Math.min(2 * this.#window, maxWindowBytes);
    this.#updatedAtMs = nowMs;
    const bytes = this.#window - this.credit - this.waitingBytes;
    this.credit += bytes;
    this.sendUpdate(0, bytes);
  }

  protected override onWaiting(): void {
    // The window limits what waits.
  }

  protected override onOver(): void {
    if (!this.isAcknowledged) this.session.onAcknowledged(this);
  }

  #takeFirstFlags(): number {
    const flags = this.#firstFlags;
    this.#firstFlags = 0;
    return flags;
  }
}
