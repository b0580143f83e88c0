// The owner of a session and the sinks of its streams, for tests of the muxers in `services/wire`.
import type { MuxSession, SessionOwner, StreamEnd, StreamSink, WireStream } from '../services/wire/layers.ts';

/** Bytes that differ everywhere, so that a lost, repeated or moved piece is found. */
export function patternBytes(length: number, seed: number): Buffer<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let word = seed;
  for (let at = 0; at < words.length; at += 1) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = word ^ (word >>> 16);
  }
  return Buffer.from(words.buffer, 0, length);
}

/** Collects what arrives on a stream, and records its events. */
export class CollectingStream implements StreamSink {
  readonly stream: WireStream;
  readonly chunks: Buffer[] = [];
  length = 0;
  hasEnded = false;
  writables = 0;
  ends: StreamEnd[] = [];
  /** Called after each piece of data. */
  onPiece: (() => void) | undefined = undefined;
  readonly #waiting: Buffer[] = [];
  #mustClose = false;

  constructor(stream: WireStream) {
    this.stream = stream;
    stream.sink = this;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Writes pieces, each when the stream accepts more, then closes. */
  writeAll(bytes: Buffer, pieceBytes: () => number): void {
    for (let at = 0; at < bytes.length;) {
      const to = Math.min(bytes.length, at + Math.max(1, pieceBytes()));
      this.#waiting.push(bytes.subarray(at, to));
      at = to;
    }
    this.#mustClose = true;
    this.#write();
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (this.hasEnded || this.ends.length > 0) throw new Error('Data came after the end.');
    this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    this.length += end - start;
    buffer.fill(0xee, 0, end);
    this.onPiece?.();
  }

  onRemoteEnd(): void {
    if (this.hasEnded) throw new Error('The stream has ended twice.');
    this.hasEnded = true;
  }

  onWritable(): void {
    this.writables += 1;
    this.#write();
  }

  onClose(end: StreamEnd): void {
    this.ends.push(end);
  }

  #write(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const buffer = Buffer.concat([Buffer.alloc(3, 1), next]);
      const isAccepted = this.stream.write(buffer, 3, buffer.length);
      buffer.fill(0xdd);
      if (!isAccepted) return;
    }
    if (!this.#mustClose) return;
    this.#mustClose = false;
    this.stream.closeWrite();
  }
}

/** Records what a session tells its owner. By default each stream gets a sink that collects its data. */
export class RecordingOwner implements SessionOwner {
  readonly streams: CollectingStream[] = [];
  closes = 0;
  error: Error | undefined;
  session: MuxSession | undefined;
  readonly #onStream: ((stream: WireStream) => void) | undefined;

  constructor(onStream?: (stream: WireStream) => void) {
    this.#onStream = onStream;
  }

  onStream(stream: WireStream): void {
    if (this.#onStream === undefined) this.streams.push(new CollectingStream(stream));
    else this.#onStream(stream);
  }

  onClose(error: Error | undefined): void {
    this.closes += 1;
    this.error = error;
  }
}
