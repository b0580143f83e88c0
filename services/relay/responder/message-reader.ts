// Reads one message that follows its length, an unsigned varint, from bytes that arrive in any division.
import { MessageTooLongError } from '../connection.ts';

export class MessageReader {
  readonly #maxBytes: number;
  /** Maximum bytes of the length: those of `maxBytes`. */
  readonly #maxLengthBytes: number;
  #length = 0;
  #lengthBytes = 0;
  /** The message as far as it has arrived; `undefined` while its length has not. */
  #message: Buffer | undefined;
  #receivedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxLengthBytes = Math.ceil((32 - Math.clz32(maxBytes)) / 7);
  }

  /** The message, when all of it has arrived. */
  get message(): Uint8Array | undefined {
    return this.#message !== undefined && this.#receivedBytes === this.#message.length
      ? this.#message
      : undefined;
  }

  /**
   * Takes bytes of `buffer[start..end)` and returns where the rest begins, which is not a part of the message.
   *
   * @throws MessageTooLongError as soon as the length is known to be above the maximum
   */
  take(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (this.#message === undefined && at < end) this.#takeLength(buffer[at++] ?? 0);
    if (this.#message === undefined) return at;
    const rest = Math.min(this.#message.length - this.#receivedBytes, end - at);
    buffer.copy(this.#message, this.#receivedBytes, at, at + rest);
    this.#receivedBytes += rest;
    return at + rest;
  }

  #takeLength(byte: number): void {
    this.#length += (byte & 0x7f) * 2 ** (7 * this.#lengthBytes);
    this.#lengthBytes += 1;
    const isComplete = byte < 0x80;
    if (this.#length > this.#maxBytes || (!isComplete && this.#lengthBytes >= this.#maxLengthBytes))
      throw new MessageTooLongError(this.#maxBytes);
    if (isComplete) this.#message = Buffer.allocUnsafeSlow(this.#length);
  }
}
