// Decompresses a message and splits its JSON, piece by piece, within the limits on size. Nothing depends on the sizes that a
// compressed message states about itself.
import { setImmediate } from 'node:timers/promises';
import zlib from 'node:zlib';
import { describeError, errorCode } from '../../shared/errors.ts';
import { createJsonSplitter, JsonSplitError, type ListRules, type SplitObject } from './json-splitter.ts';
import { MessageTooLargeError, StreamCutError } from './stream-io.ts';

/** Maximum size of a decompressed message, as a multiple of the maximum on the wire. */
export const DECOMPRESSED_FACTOR = 4;

/**
 * Largest window of a compressed message as a power of two: 8 MiB, which the highest regular level uses. A frame may
 * request up to 2 GiB, which is allocated before the first byte is decompressed.
 */
const MAX_WINDOW_LOG = 23;

/** Size of a piece in bytes. Between two pieces the event loop runs other work. */
const PIECE_BYTES = 256 * 1024;

/**
 * Default maximum size of what is not in a list, in bytes: more than the fields of every known version. The commas between the
 * items count too.
 */
const MAX_OTHER_BYTES = 256 * 1024;

/** A message violates the protocol. The same request would fail again. */
export class BadMessageError extends Error {
  override readonly name = 'BadMessageError';
  readonly code = 'BAD_MESSAGE';
}

/** There is no memory for a message now. The same request may succeed later. */
export class NoMemoryError extends Error {
  override readonly name = 'NoMemoryError';
  readonly code = 'NO_MEMORY';
}

export interface MessageRules {
  /** Whether the message is compressed by zstd. */
  readonly isCompressed: boolean;
  /** The kind of the message, for errors. */
  readonly what: string;
  /** Maximum size on the wire in bytes. */
  readonly maxBytes: number;
  readonly lists: Readonly<Record<string, ListRules>>;
  /** The plain fields to read. */
  readonly fields: readonly string[];
  /** Maximum size of what is not in a list, in bytes. Default 262,144. */
  readonly maxOtherBytes?: number;
  /** Called with the decompressed size so far, before more of the message is in memory. Default: there is always memory. */
  readonly reserve?: ((bytes: number) => boolean | Promise<boolean>) | undefined;
}

/** @throws BadMessageError, MessageTooLargeError, NoMemoryError, StreamCutError, or an error of a list's `onItem` */
export async function readMessage(message: Uint8Array, rules: MessageRules): Promise<SplitObject> {
  const pieces = splitMessage(message, rules);
  for (;;) {
    const piece = await pieces.next();
    if (piece.done === true) return piece.value;
  }
}

/**
 * The same piece by piece, for a caller that has work to do between them. Returns the fields.
 *
 * @throws the same errors
 */
export async function* splitMessage(
  message: Uint8Array,
  { isCompressed, what, maxBytes, lists, fields, maxOtherBytes = MAX_OTHER_BYTES, reserve }: MessageRules,
): AsyncGenerator<void, SplitObject> {
  if (message.length > maxBytes) throw new MessageTooLargeError(what, message.length, maxBytes);
  const splitter = createJsonSplitter({ lists, fields, maxOtherBytes });
  const maxDecompressedBytes = maxBytes * DECOMPRESSED_FACTOR;
  const pieces = isCompressed ? expand(message, maxDecompressedBytes, what) : cut(message);
  const split = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof JsonSplitError)) throw error;
      throw new BadMessageError(`The ${what} ${error.message}.`, { cause: error });
    }
  };
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if ((await reserve?.(bytes)) === false)
      throw new NoMemoryError(`There is no memory for the ${what} now.`);
    split(() => splitter.push(piece));
    yield;
  }
  return split(() => splitter.end());
}

async function* cut({ buffer, byteOffset, length }: Uint8Array): AsyncGenerator<Buffer> {
  for (let start = 0; start < length; start += PIECE_BYTES) {
    if (start > 0) await setImmediate();
    yield Buffer.from(buffer, byteOffset + start, Math.min(PIECE_BYTES, length - start));
  }
}

async function* expand(message: Uint8Array, maxBytes: number, what: string): AsyncGenerator<Buffer> {
  const params = { [zlib.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
  const stream = zlib.createZstdDecompress({ params, chunkSize: PIECE_BYTES });
  stream.end(message);
  let bytes = 0;
  try {
    for await (const piece of stream) {
      const buffer = piece as Buffer;
      bytes += buffer.length;
      if (bytes > maxBytes) throw new MessageTooLargeError(`decompressed ${what}`, bytes, maxBytes);
      yield buffer;
    }
  } catch (error) {
    if (error instanceof MessageTooLargeError) throw error;
    if (errorCode(error) === 'Z_BUF_ERROR')
      throw new StreamCutError(`The ${what} is incomplete.`, { cause: error });
    throw new BadMessageError(`The ${what} cannot be decompressed: ${describeError(error)}.`, {
      cause: error,
    });
  }
}
