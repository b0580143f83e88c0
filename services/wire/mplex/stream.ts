// A stream of mplex (https://github.com/libp2p/specs/tree/master/mplex, sections "Writing to a stream" to "Resetting a stream").
// It has no window: a paused stream stops the reading of its connection.
import type { LaneEnd, LaneListener } from '../layers.ts';
import { MuxStream } from '../muxer/stream.ts';
import { TYPES } from './codec.ts';
import { MplexLaneEnd } from './lane-end.ts';
import type { MplexSession } from './session.ts';

/** Maximum received bytes that wait for a sink before reading stops. */
const MAX_EARLY_BYTES = 256 * 1024;

/**
 * Maximum received bytes that wait in one stream. Reading stops long before; only a layer below that goes on handing up
 * bytes reaches it. Above it the stream is reset.
 */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export class MplexStream extends MuxStream {
  readonly session: MplexSession;
  /** Whether the stream stops the reading of its connection. */
  #isHolding = false;

  constructor(session: MplexSession, id: number, isInbound: boolean) {
    super(id, isInbound);
    this.session = session;
  }

  override sendData(buffer: Buffer, start: number, end: number, isSpent: boolean): void {
    const type = this.isInbound ? TYPES.messageReceiver : TYPES.messageInitiator;
    this.session.sendData(type, this.id, buffer, start, end, isSpent);
  }

  override toLaneEnd(listener: LaneListener): LaneEnd {
    this.join(listener);
    return new MplexLaneEnd(this);
  }

  protected override sendFin(): void {
    this.session.sendControl(this.isInbound ? TYPES.closeReceiver : TYPES.closeInitiator, this.id);
  }

  protected override sendReset(): void {
    this.session.sendControl(this.isInbound ? TYPES.resetReceiver : TYPES.resetInitiator, this.id);
  }

  protected override sendLimit(): number {
    return Infinity;
  }

  protected override onConsumed(): void {
    if (this.waitingBytes === 0) this.#release();
  }

  /** The other streams of the connection wait too; TCP slows the other side down. */
  protected override onWaiting(): void {
    if (this.waitingBytes > MAX_WAITING_BYTES) {
      this.reset();
      return;
    }
    if (this.#isHolding || (this.sink === undefined && this.waitingBytes <= MAX_EARLY_BYTES)) return;
    this.#isHolding = true;
    this.session.hold();
  }

  protected override onOver(): void {
    this.#release();
  }

  #release(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.session.release();
  }
}
