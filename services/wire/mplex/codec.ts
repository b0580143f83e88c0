// Messages of mplex: https://github.com/libp2p/specs/tree/master/mplex, section "Message format". No state of a session.

export const MPLEX_PROTOCOL = '/mplex/6.7.0';

/** The last three bits of the first number. An odd type comes from the receiver of a stream, an even one from its initiator. */
export const TYPES = {
  newStream: 0,
  messageReceiver: 1,
  messageInitiator: 2,
  closeReceiver: 3,
  closeInitiator: 4,
  resetReceiver: 5,
  resetInitiator: 6,
} as const;

/** Maximum size of a message, in bytes: the limit of the specification. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Maximum bytes of a varint: numbers above it are not exact in JavaScript, and no client comes near it. */
const MAX_VARINT_BYTES = 7;

/** Maximum bytes of the header of a message that is sent. */
export const MAX_HEADER_BYTES = MAX_VARINT_BYTES + 3;

/** Returns the number of bytes of a varint. */
function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) count += 1;
  return count;
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let next = at;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    buffer[next] = (rest % 128) + 128;
    next += 1;
  }
  buffer[next] = rest;
  return next + 1;
}

/** Returns the number of bytes of a header. */
export function headerBytes(type: number, id: number, length: number): number {
  return varintBytes(id * 8 + type) + varintBytes(length);
}

/** Writes a header at `buffer[at…)` and returns where it ends. */
export function writeHeader(buffer: Buffer, at: number, type: number, id: number, length: number): number {
  return writeVarint(buffer, writeVarint(buffer, at, id * 8 + type), length);
}

/** Receives the parts of messages. Each method returns whether reading goes on. */
export interface MessageHandler {
  /** A header, followed by `length` bytes of payload. */
  onMessage(type: number, id: number, length: number): boolean;
  /** A part of the payload of the last message. */
  onPayload(buffer: Buffer, start: number, end: number): boolean;
  /** The bytes are no message. The last call. */
  onInvalidMessage(code: 'invalid_frame' | 'frame_too_large'): void;
}

/** Splits bytes into messages, whatever the sizes of the pieces in which they arrive. */
export class MessageReader {
  readonly #handler: MessageHandler;
  /** Bytes of the payload that have not arrived. */
  #payloadLeft = 0;
  /** The first number of a header, when it is complete. */
  #key: number | undefined;
  /** The number that is being read. */
  #value = 0;
  #valueBytes = 0;
  #scale = 1;

  constructor(handler: MessageHandler) {
    this.#handler = handler;
  }

  read(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      if (this.#payloadLeft > 0) {
        const to = Math.min(end, at + this.#payloadLeft);
        this.#payloadLeft -= to - at;
        if (!this.#handler.onPayload(buffer, at, to)) return;
        at = to;
      } else {
        if (!this.#onHeaderByte(buffer[at] ?? 0)) return;
        at += 1;
      }
    }
  }

  #onHeaderByte(byte: number): boolean {
    this.#value += (byte & 127) * this.#scale;
    this.#valueBytes += 1;
    if (byte >= 128) {
      this.#scale *= 128;
      return this.#valueBytes < MAX_VARINT_BYTES || this.#fail('invalid_frame');
    }
    const value = this.#value;
    const key = this.#key;
    this.#value = 0;
    this.#valueBytes = 0;
    this.#scale = 1;
    if (key === undefined) {
      this.#key = value;
      return value % 8 <= TYPES.resetInitiator || this.#fail('invalid_frame');
    }
    this.#key = undefined;
    if (value > MAX_MESSAGE_BYTES) return this.#fail('frame_too_large');
    this.#payloadLeft = value;
    return this.#handler.onMessage(key % 8, Math.floor(key / 8), value);
  }

  #fail(code: 'invalid_frame' | 'frame_too_large'): false {
    this.#handler.onInvalidMessage(code);
    return false;
  }
}
