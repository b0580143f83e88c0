// A sink that keeps a copy of all bytes, for tests of the layers in `services/wire`.
import type { ByteSink } from '../services/wire/layers.ts';

export class CollectingSink implements ByteSink {
  readonly pieces: Buffer[] = [];
  readEnds = 0;
  writables = 0;
  closes = 0;
  error: Error | undefined = undefined;

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.closes > 0) throw new Error('Bytes after the end of the connection.');
    if (end <= start) throw new Error(`${end - start} bytes were handed up.`);
    this.pieces.push(Buffer.from(buffer.subarray(start, end)));
    // The receiver may overwrite what comes before.
    buffer.fill(0, 0, start);
  }

  onReadEnd(): void {
    this.readEnds += 1;
  }

  onWritable(): void {
    this.writables += 1;
  }

  onClose(error: Error | undefined): void {
    this.closes += 1;
    this.error = error;
  }
}
