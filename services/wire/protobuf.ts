// A reader and a writer for the small protobuf messages of a handshake (https://protobuf.dev/programming-guides/encoding).

/** Wire types. Groups, which nobody sends, are not supported. */
const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

/** Maximum length of a varint, in bytes. */
const MAX_VARINT_BYTES = 10;

/** Reads field after field. A field that occurs twice is read twice; by convention the last one counts. */
export class ProtobufReader {
  readonly #message: Buffer;
  #at = 0;
  /** Number of the current field. */
  field = 0;
  /** Value of the current field if it is a number; above 2^53 it is not exact. */
  number = 0;
  /** Value of the current field if it has bytes: a view of the message. */
  bytes: Buffer | undefined;

  constructor(message: Buffer) {
    this.#message = message;
  }

  /** Reads the next field. Returns false at the end. @throws RangeError if the message is not valid */
  next(): boolean {
    if (this.#at >= this.#message.length) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.number = 0;
    this.bytes = undefined;
    switch (tag % 8) {
      case VARINT:
        this.number = this.#varint();
        break;
      case BYTES:
        this.bytes = this.#take(this.#varint());
        break;
      case FIXED_64:
        this.#take(8);
        break;
      case FIXED_32:
        this.#take(4);
        break;
      default:
        throw new RangeError('The message has a field of an unknown type.');
    }
    if (this.field === 0) throw new RangeError('The message has a field without number.');
    return true;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#message.length) throw new RangeError('The message ends inside a field.');
    const bytes = this.#message.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  #varint(): number {
    let value = 0;
    for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
      const byte = this.#message[this.#at];
      if (byte === undefined) throw new RangeError('The message ends inside a number.');
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    throw new RangeError('The message has a number of more than 64 bits.');
  }
}

/** A field with a number. */
export function numberField(field: number, value: number): Buffer {
  return Buffer.from([...encodeVarint(field * 8 + VARINT), ...encodeVarint(value)]);
}

/** A field with bytes, a text or a message. */
export function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from([...encodeVarint(field * 8 + BYTES), ...encodeVarint(value.length)]),
    value,
  ]);
}

/** The bytes of a number in protobuf and multistream-select. */
export function encodeVarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
