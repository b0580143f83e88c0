// The lowest layer inside a circuit: a stream of libp2p instead of a socket.
import type { MessageStream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import { BlockWriter } from '../../wire/block-writer.ts';
import type { ByteSink } from '../../wire/layers.ts';
import type { WireIo } from '../../wire/wire-io.ts';

const NOBODY: ByteSink = { onBytes() {}, onReadEnd() {}, onWritable() {}, onClose() {} };

export class StreamLayer extends BlockWriter {
  sink: ByteSink = NOBODY;
  readonly #stream: MessageStream;
  #isEnding = false;
  #isSending = false;
  #isOver = false;

  /** Reads from the stream from now on. Set `sink` before the event loop continues. */
  constructor(io: WireIo, stream: MessageStream, maxUnsentBytes: number) {
    super(io, maxUnsentBytes);
    this.#stream = stream;
    stream.addEventListener('message', (event) => this.#onMessage(event));
    stream.addEventListener('drain', () => this.sent());
    stream.addEventListener('close', (event) => this.#onClose(event));
  }

  pause(): void {
    if (this.#stream.status === 'open') this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.status === 'open') this.#stream.resume();
  }

  end(): void {
    if (this.#isOver || this.#isEnding) return;
    this.flush();
    this.endWrites();
    this.#isEnding = true;
    if (!this.isBlocked) this.#close();
  }

  #close(): void {
    void this.#stream.close().catch((error: unknown) => this.abort(toError(error)));
  }

  abort(error: Error): void {
    if (this.#isOver) return;
    // Its event says that it is over.
    this.#stream.abort(error);
    this.#finish(error);
  }

  protected override send(bytes: Buffer): boolean {
    if (this.#stream.status !== 'open') return true;
    this.#isSending = true;
    try {
      // The stream keeps what it cannot send, and the block is used again.
      return this.#stream.send(Buffer.from(bytes));
    } catch (error) {
      // The stream below is closing. The layers above are told later, because one of them is writing.
      this.fail(toError(error));
      return true;
    } finally {
      this.#isSending = false;
    }
  }

  protected override drained(): void {
    if (this.#isEnding) this.#close();
    else this.#inRead(() => this.sink.onWritable());
  }

  #onMessage({ data }: StreamMessageEvent): void {
    this.#inRead(() => {
      // Nothing else refers to the bytes of a message, so they are decrypted in place.
      for (const chunk of data instanceof Uint8Array ? [data] : data)
        if (chunk.length > 0 && !this.#isOver)
          this.sink.onBytes(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length), 0, chunk.length);
      if (!this.#isOver) this.sink.onReadEnd();
    });
  }

  #inRead(work: () => void): void {
    const { flushes } = this.io;
    flushes.begin();
    try {
      work();
    } catch (error) {
      this.abort(toError(error));
    } finally {
      flushes.end();
    }
  }

  #onClose({ error }: StreamCloseEvent): void {
    if (this.#isSending) queueMicrotask(() => this.#finish(error));
    else this.#finish(error);
  }

  #finish(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stopWriting();
    const { sink } = this;
    this.sink = NOBODY;
    sink.onClose(error);
  }
}
