// The pull protocol of `rr`: its two versions, their limits, and the encoding of requests and responses. Version 1.0.1
// is 1.0.0 with each message compressed by zstd.
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { describeError, errorCode } from '../../shared/errors.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { MessageTooLargeError, StreamCutError } from './stream-io.ts';

const PLAIN_PROTOCOL = '/rustory/sync-pull/1.0.0';
const ZSTD_PROTOCOL = '/rustory/sync-pull/1.0.1';

/** Both versions, in order of preference. */
export const PULL_PROTOCOLS: readonly string[] = [ZSTD_PROTOCOL, PLAIN_PROTOCOL];

/** Maximum size of a message on the wire in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

/** Maximum size of a decompressed message, as a multiple of the maximum on the wire. */
const DECOMPRESSED_FACTOR = 4;

/**
 * Maximum entries of one response; a larger `limit` is reduced to this, because reading more entries would block the
 * event loop.
 */
export const MAX_LIMIT = 10_000;

/** The fastest level, as in `rr`: it already reduces shell history to a sixth. */
const ZSTD_LEVEL = 1;

/**
 * Largest window of a compressed message as a power of two: 8 MiB, which the highest regular level uses. A frame may
 * request up to 2 GiB, which is allocated before the first byte is decompressed.
 */
const MAX_WINDOW_LOG = 23;

const compress = promisify(zlib.zstdCompress);
const decompress = promisify(zlib.zstdDecompress);

export interface PullRequest {
  /** The response holds entries after this `ingest_seq` of the responder; 0 for all. */
  readonly cursor: number;
  readonly limit: number;
}

export interface PullResponse {
  readonly entries: readonly Entry[];
  /** The responder's `ingest_seq` of the last entry; `undefined` when the page is empty. */
  readonly nextCursor: number | undefined;
}

/** A message violates the protocol. The same request would fail again. */
export class BadMessageError extends Error {
  override readonly name = 'BadMessageError';
  readonly code = 'BAD_MESSAGE';
}

export async function encodeRequest(protocol: string, request: PullRequest): Promise<Uint8Array> {
  return encode(protocol, JSON.stringify(request), MAX_REQUEST_BYTES, 'request');
}

/** @throws BadMessageError, MessageTooLargeError, StreamCutError */
export async function decodeRequest(protocol: string, message: Uint8Array): Promise<PullRequest> {
  const fields = await decode(protocol, message, MAX_REQUEST_BYTES, 'request');
  const cursor = fields['cursor'] ?? 0;
  const limit = fields['limit'];
  if (!isCursor(cursor))
    throw new BadMessageError('The cursor of the request must be an integer of at least 0.');
  if (!isCursor(limit) || limit === 0)
    throw new BadMessageError('The limit of the request must be an integer of at least 1.');
  return { cursor, limit: Math.min(limit, MAX_LIMIT) };
}

/**
 * Encodes a response. The entries are passed as JSON, because their size is required while they are collected.
 *
 * @throws MessageTooLargeError
 */
export async function encodeResponse(
  protocol: string,
  entries: readonly string[],
  nextCursor: number | undefined,
): Promise<Uint8Array> {
  const json = `{"entries":[${entries.join(',')}],"next_cursor":${nextCursor ?? 'null'}}`;
  return encode(protocol, json, MAX_RESPONSE_BYTES, 'response');
}

/** @throws BadMessageError, BadEntryError, MessageTooLargeError, StreamCutError */
export async function decodeResponse(
  protocol: string,
  message: Uint8Array,
  request: PullRequest,
): Promise<PullResponse> {
  const { entries, next_cursor: nextCursor } = await decode(
    protocol,
    message,
    MAX_RESPONSE_BYTES,
    'response',
  );
  if (!Array.isArray(entries)) throw new BadMessageError('The field entries of the response must be a list.');
  if (entries.length === 0) return { entries: [], nextCursor: undefined };
  if (entries.length > request.limit)
    throw new BadMessageError(
      `The response has ${entries.length} entries; the limit of the request is ${request.limit}.`,
    );
  if (!isCursor(nextCursor) || nextCursor <= request.cursor)
    throw new BadMessageError(
      `The next_cursor of the response must be an integer greater than ${request.cursor}.`,
    );
  return { entries: fromWire(entries), nextCursor };
}

async function encode(protocol: string, json: string, maxBytes: number, what: string): Promise<Uint8Array> {
  const plain = Buffer.from(json);
  if (protocol !== ZSTD_PROTOCOL) return bounded(plain, maxBytes, what);
  bounded(plain, maxBytes * DECOMPRESSED_FACTOR, `decompressed ${what}`);
  const params = { [zlib.constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL };
  return bounded(await compress(plain, { params }), maxBytes, what);
}

async function decode(
  protocol: string,
  message: Uint8Array,
  maxBytes: number,
  what: string,
): Promise<Record<string, unknown>> {
  const plain =
    protocol === ZSTD_PROTOCOL
      ? await expand(message, maxBytes * DECOMPRESSED_FACTOR, what)
      : bounded(Buffer.from(message.buffer, message.byteOffset, message.byteLength), maxBytes, what);
  let value: unknown;
  try {
    value = JSON.parse(plain.toString('utf8'));
  } catch (error) {
    throw new BadMessageError(`The ${what} is not JSON.`, { cause: error });
  }
  if (typeof value !== 'object' || value === null)
    throw new BadMessageError(`The ${what} is not a JSON object.`);
  return value as Record<string, unknown>;
}

async function expand(message: Uint8Array, maxBytes: number, what: string): Promise<Buffer> {
  const params = { [zlib.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
  try {
    return await decompress(message, { maxOutputLength: maxBytes, params });
  } catch (error) {
    if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE')
      throw new MessageTooLargeError(`decompressed ${what}`, maxBytes + 1, maxBytes);
    if (errorCode(error) === 'Z_BUF_ERROR')
      throw new StreamCutError(`The ${what} is incomplete.`, { cause: error });
    throw new BadMessageError(`The ${what} cannot be decompressed: ${describeError(error)}.`, {
      cause: error,
    });
  }
}

function bounded<T extends Uint8Array>(bytes: T, maxBytes: number, what: string): T {
  if (bytes.length > maxBytes) throw new MessageTooLargeError(what, bytes.length, maxBytes);
  return bytes;
}

function isCursor(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
