// The encrypted connection after a Noise handshake: messages of at most 65,535 bytes, each with its length before it
// (https://github.com/libp2p/specs/tree/master/noise#wire-format). Messages are decrypted in the buffer in which they were
// read, and encrypted into the block from which the layer below sends them.
import { toError } from '../../shared/errors.ts';
import type { BlockDuplex, ByteDuplex, ByteSink } from '../layers.ts';
import type { PartPool } from '../part-pool.ts';
import { OVERHEAD_BYTES } from './cipher-state.ts';
import { NoiseError } from './errors.ts';
import type { Handshake } from './handshake.ts';

/** Length of the length before each message, in bytes. */
const LENGTH_BYTES = 2;

/** Maximum length of an encrypted message, in bytes. */
const MAX_MESSAGE_BYTES = 65_535;

/** Maximum length of the content of a message, in bytes. */
export const MAX_CONTENT_BYTES = MAX_MESSAGE_BYTES - OVERHEAD_BYTES;

/** A class, because its methods are called for each read, each write and each message. */
export class NoiseChannel implements ByteDuplex, ByteSink {
  sink: ByteSink;
  readonly #below: BlockDuplex;
  readonly #send: Handshake['send'];
  readonly #receive: Handshake['receive'];
  readonly #parts: PartPool;
  #isOpen = true;
  /** The beginning of a message whose rest has not arrived: the first `#keptLength` bytes of `#kept`. */
  #kept: Buffer | undefined;
  #keptLength = 0;
  /** Buffers whose bytes were handed up during this read. */
  readonly #lent: Buffer[] = [];

  /**
   * Becomes the sink of `below`. The caller passes on what was read together with the end of the handshake.
   *
   * @param sink receives the decrypted bytes
   */
  constructor(
    below: BlockDuplex,
    { send, receive }: Pick<Handshake, 'send' | 'receive'>,
    parts: PartPool,
    sink: ByteSink,
  ) {
    this.#below = below;
    this.#send = send;
    this.#receive = receive;
    this.#parts = parts;
    this.sink = sink;
    below.sink = this;
  }

  get isBlocked(): boolean {
    return this.#below.isBlocked;
  }

  get unsentBytes(): number {
    return this.#below.unsentBytes;
  }

  write(buffer: Buffer, start: number, end: number): void {
    const below = this.#below;
    for (let from = start; from < end && this.#isOpen;) {
      const to = Math.min(end, from + MAX_CONTENT_BYTES);
      const length = to - from + OVERHEAD_BYTES;
      if (this.#send.isExhausted) {
        this.#fail('NOISE_MESSAGES_EXHAUSTED', 'The connection has carried the maximum of messages.');
        return;
      }
      below.reserve(LENGTH_BYTES + length);
      const { out, at } = below;
      out[at] = length >>> 8;
      out[at + 1] = length & 0xff;
      try {
        this.#send.seal(
          out.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length),
          buffer.subarray(from, to),
        );
      } catch (error) {
        // Whoever writes may work for another connection, or for none.
        below.abort(toError(error));
        return;
      }
      below.commit(LENGTH_BYTES + length);
      from = to;
    }
  }

  pause(): void {
    this.#below.pause();
  }

  resume(): void {
    this.#below.resume();
  }

  end(): void {
    this.#below.end();
  }

  abort(error: Error): void {
    this.#below.abort(error);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (!this.#isOpen) return;
    let at = start;
    if (this.#keptLength > 0) {
      at = this.#completeKept(buffer, start, end);
      if (at < 0) return;
    }
    while (end - at >= LENGTH_BYTES) {
      const length = ((buffer[at] ?? 0) << 8) | (buffer[at + 1] ?? 0);
      if (!this.#isValid(length)) return;
      const from = at + LENGTH_BYTES;
      if (end - from < length) break;
      at = from + length;
      if (!this.#decrypt(buffer, from, at)) return;
    }
    if (at < end) this.#keep(buffer, at, end);
  }

  onReadEnd(): void {
    this.sink.onReadEnd();
    if (this.#lent.length > 0) this.#releaseLent();
  }

  onWritable(): void {
    this.sink.onWritable();
  }

  onClose(error: Error | undefined): void {
    const isTruncated = this.#keptLength > 0 && error === undefined;
    this.#isOpen = false;
    this.#releaseKept();
    this.sink.onClose(
      isTruncated
        ? new NoiseError('NOISE_TRUNCATED', 'The other side closed the connection inside a Noise message.')
        : error,
    );
  }

  /**
   * Puts the kept part of a message before the new bytes and returns where the message begins. Returns a negative number if it
   * is not complete, or the connection has ended.
   */
  #completeKept(buffer: Buffer, start: number, end: number): number {
    const keptLength = this.#keptLength;
    const kept = this.#kept as Buffer;
    const low = keptLength === 1 ? buffer[start] : kept[1];
    const length = ((kept[0] ?? 0) << 8) | (low ?? 0);
    if (!this.#isValid(length)) return -1;
    const missing = LENGTH_BYTES + length - keptLength;
    if (end - start < missing) {
      this.#keep(buffer, start, end);
      return -1;
    }
    if (start >= keptLength) {
      kept.copy(buffer, start - keptLength, 0, keptLength);
      this.#releaseKept();
      return start - keptLength;
    }
    // There is no space before the bytes, so the message is completed where its beginning is.
    this.#keep(buffer, start, start + missing);
    const whole = this.#kept as Buffer;
    this.#kept = undefined;
    this.#keptLength = 0;
    this.#lent.push(whole);
    return this.#decrypt(whole, LENGTH_BYTES, LENGTH_BYTES + length) ? start + missing : -1;
  }

  /** Decrypts the message at `from` and hands it up. Returns whether the connection is still open. */
  #decrypt(buffer: Buffer, from: number, to: number): boolean {
    const end = to - OVERHEAD_BYTES;
    if (
      this.#receive.isExhausted ||
      !this.#receive.open(buffer.subarray(from, end), buffer.subarray(from, to))
    )
      return this.#fail('NOISE_MESSAGE', 'A message of the other side is not authentic.');
    // An empty message is valid, and nothing for the layer above.
    if (end > from) this.sink.onBytes(buffer, from, end);
    return this.#isOpen;
  }

  #isValid(length: number): boolean {
    if (length >= OVERHEAD_BYTES) return true;
    return this.#fail('NOISE_MESSAGE', `A message of the other side has ${length} bytes.`);
  }

  /** Appends bytes to the kept part. */
  #keep(buffer: Buffer, start: number, end: number): void {
    const length = this.#keptLength + end - start;
    let kept = this.#kept;
    if (kept === undefined || kept.length < length) {
      kept = this.#parts.take(length);
      if (this.#kept !== undefined) {
        this.#kept.copy(kept, 0, 0, this.#keptLength);
        this.#parts.give(this.#kept);
      }
      this.#kept = kept;
    }
    buffer.copy(kept, this.#keptLength, start, end);
    this.#keptLength = length;
  }

  #releaseKept(): void {
    if (this.#kept !== undefined) this.#parts.give(this.#kept);
    this.#kept = undefined;
    this.#keptLength = 0;
  }

  #releaseLent(): void {
    for (const buffer of this.#lent) this.#parts.give(buffer);
    this.#lent.length = 0;
  }

  #fail(code: NoiseError['code'], message: string): false {
    this.#below.abort(new NoiseError(code, message));
    return false;
  }
}
