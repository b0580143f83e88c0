// Encodes a message of either version of a protocol of `rr`, within its limits on size.
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { DECOMPRESSED_FACTOR } from './message-reader.ts';
import { MessageTooLargeError } from './stream-io.ts';

/** The fastest level, as in `rr`: it already reduces shell history to a sixth. */
const ZSTD_LEVEL = 1;

const compress = promisify(zlib.zstdCompress);

export interface WriteRules {
  /** Whether the message is compressed by zstd. */
  readonly isCompressed: boolean;
  /** The kind of the message, for errors. */
  readonly what: string;
  /** Maximum size on the wire in bytes. */
  readonly maxBytes: number;
}

/** @throws MessageTooLargeError */
export async function writeMessage(
  json: string,
  { isCompressed, what, maxBytes }: WriteRules,
): Promise<Uint8Array> {
  const plain = Buffer.from(json);
  if (!isCompressed) return bounded(plain, maxBytes, what);
  bounded(plain, maxBytes * DECOMPRESSED_FACTOR, `decompressed ${what}`);
  const params = { [zlib.constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL };
  return bounded(await compress(plain, { params }), maxBytes, what);
}

function bounded<T extends Uint8Array>(bytes: T, maxBytes: number, what: string): T {
  if (bytes.length > maxBytes) throw new MessageTooLargeError(what, bytes.length, maxBytes);
  return bytes;
}
