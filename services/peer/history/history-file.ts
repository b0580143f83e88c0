// Reads a history file in chunks, each time up to the same position, also when a shell appends to it meanwhile.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Maximum size of a history file in bytes. */
export const MAX_HISTORY_BYTES = 1024 * 1024 * 1024;

/** Maximum size in bytes of what is read from a pipe, because it is held in memory. */
const MAX_PIPE_BYTES = 256 * 1024 * 1024;

const CHUNK_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

export interface HistoryFile {
  /** Time of the last change. */
  readonly modifiedUnixSeconds: number;
  /** Reads the file from its start. */
  chunks(): Iterable<Buffer>;
  close(): void;
}

/** Opens a regular file, or reads a pipe. @throws Error of the file system, or with the reason */
export function openHistoryFile(path: string): HistoryFile {
  const descriptor = openSync(path, 'r');
  const close = (): void => closeSync(descriptor);
  try {
    const stats = fstatSync(descriptor);
    const modifiedUnixSeconds = Math.floor(stats.mtimeMs / 1000);
    if (stats.isDirectory()) throw new Error('It is a directory');
    if (!stats.isFile()) {
      const content = readPipe(descriptor);
      return { modifiedUnixSeconds: Math.floor(Date.now() / 1000), chunks: () => content, close };
    }
    if (stats.size > MAX_HISTORY_BYTES)
      throw new Error(`The file has ${stats.size} bytes; the maximum is ${MAX_HISTORY_BYTES}`);
    const end = findEnd(descriptor, stats.size);
    return { modifiedUnixSeconds, chunks: () => readChunks(descriptor, end), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The position after the last complete line: a shell may be writing the rest of it. */
function findEnd(descriptor: number, size: number): number {
  const last = Buffer.alloc(1);
  if (size === 0 || (readSync(descriptor, last, 0, 1, size - 1) === 1 && last[0] === LINE_FEED)) return size;
  let end = size;
  for (const chunk of readChunks(descriptor, MAX_HISTORY_BYTES, size)) {
    const lineFeed = chunk.indexOf(LINE_FEED);
    if (lineFeed !== -1) return end + lineFeed + 1;
    end += chunk.length;
  }
  return end;
}

function* readChunks(descriptor: number, end: number, start = 0): Generator<Buffer> {
  for (let position = start; position < end;) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position));
    const length = readSync(descriptor, chunk, 0, chunk.length, position);
    // The shell may have made the file shorter.
    if (length === 0) return;
    position += length;
    yield chunk.subarray(0, length);
  }
}

function readPipe(descriptor: number): Buffer[] {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const length = readSync(descriptor, chunk);
    if (length === 0) return chunks;
    total += length;
    if (total > MAX_PIPE_BYTES)
      throw new Error(`The input has more than ${MAX_PIPE_BYTES} bytes; write it to a file first`);
    chunks.push(length === CHUNK_BYTES ? chunk : Buffer.from(chunk.subarray(0, length)));
  }
}
