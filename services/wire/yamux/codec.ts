// Frames of yamux: https://github.com/hashicorp/yamux/blob/master/spec.md, section "Framing". No state of a session.

export const YAMUX_PROTOCOL = '/yamux/1.0.0';

/** Bytes of a header. */
export const HEADER_BYTES = 12;

export const FRAME_TYPES = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export const FLAGS = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;

/** The codes of a GoAway frame that are sent or distinguished. */
export const GO_AWAY_NORMAL = 0;

/** Window of a new stream in both directions, in bytes. */
export const INITIAL_WINDOW_BYTES = 256 * 1024;

/** Maximum of a window: it has 32 bits. */
export const MAX_WINDOW_BYTES = 2 ** 32 - 1;

/** Writes a header at `buffer[at..at + 12)`. */
export function writeHeader(
  buffer: Buffer,
  at: number,
  type: number,
  flags: number,
  id: number,
  length: number,
): void {
  buffer[at] = 0;
  buffer[at + 1] = type;
  buffer[at + 2] = 0;
  buffer[at + 3] = flags;
  buffer[at + 4] = id >>> 24;
  buffer[at + 5] = id >>> 16;
  buffer[at + 6] = id >>> 8;
  buffer[at + 7] = id;
  buffer[at + 8] = length >>> 24;
  buffer[at + 9] = length >>> 16;
  buffer[at + 10] = length >>> 8;
  buffer[at + 11] = length;
}

/** Receives the parts of frames. Each method returns whether reading goes on. */
export interface FrameHandler {
  /** A header. For a frame of data, `length` bytes of payload follow. */
  onFrame(type: number, flags: number, id: number, length: number): boolean;
  /** A part of the payload of the last frame; `isLast`: it is complete. */
  onPayload(buffer: Buffer, start: number, end: number, isLast: boolean): boolean;
  /** The bytes are no frame: another version, or an unknown type. The last call. */
  onInvalidFrame(): void;
}

/** Splits bytes into frames, whatever the sizes of the pieces in which they arrive. */
export class FrameReader {
  readonly #handler: FrameHandler;
  /** Bytes of the payload that have not arrived. */
  #payloadLeft = 0;
  /** The first bytes of a header whose rest has not arrived. */
  #header: Buffer | undefined;
  #headerLength = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  read(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      if (this.#payloadLeft > 0) {
        const to = Math.min(end, at + this.#payloadLeft);
        this.#payloadLeft -= to - at;
        if (!this.#handler.onPayload(buffer, at, to, this.#payloadLeft === 0)) return;
        at = to;
      } else if (this.#headerLength === 0 && end - at >= HEADER_BYTES) {
        if (!this.#onHeader(buffer, at)) return;
        at += HEADER_BYTES;
      } else {
        const header = (this.#header ??= Buffer.alloc(HEADER_BYTES));
        const to = Math.min(end, at + HEADER_BYTES - this.#headerLength);
        buffer.copy(header, this.#headerLength, at, to);
        this.#headerLength += to - at;
        at = to;
        if (this.#headerLength < HEADER_BYTES) return;
        this.#headerLength = 0;
        if (!this.#onHeader(header, 0)) return;
      }
    }
  }

  #onHeader(buffer: Buffer, at: number): boolean {
    const type = buffer[at + 1] ?? 0;
    if (buffer[at] !== 0 || type > FRAME_TYPES.goAway) {
      this.#handler.onInvalidFrame();
      return false;
    }
    const flags = buffer.readUInt16BE(at + 2);
    const id = buffer.readUInt32BE(at + 4);
    const length = buffer.readUInt32BE(at + 8);
    if (type === FRAME_TYPES.data) this.#payloadLeft = length;
    return this.#handler.onFrame(type, flags, id, length);
  }
}
