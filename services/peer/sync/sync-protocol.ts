// The pull protocol of `rr`: its two versions, their limits, and the encoding of requests and responses. Version 1.0.1
// is 1.0.0 with each message compressed by zstd.
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { describeError, errorCode } from '../../shared/errors.ts';
import { type Deletion, readDeletion } from '../history/deletion.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { isLabel } from '../history/entry-rules.ts';
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
 * Maximum entries and deletions of one response, the same as in `rr`. A larger `limit` is reduced to this; the requester
 * asks for the next page until one is empty.
 */
export const MAX_LIMIT = 1_000;

/**
 * Maximum entries of one response to a requester that does not support deletions, which gets all of its limit. Reading
 * more entries would block the event loop.
 */
export const MAX_LIMIT_WITHOUT_DELETIONS = 10_000;

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
  /**
   * The response holds deletions after this `delete_seq` of the responder; 0 for all. `undefined` when the requester does
   * not support deletions, as `rr` 0.1.
   */
  readonly deleteCursor: number | undefined;
  /** Maximum entries and deletions together. Deletions come first. */
  readonly limit: number;
}

/** An entry or a deletion of a response that is not valid. The others of the response are stored. */
export interface InvalidItem {
  readonly kind: 'entry' | 'deletion';
  /** The position in the list of its kind. */
  readonly index: number;
  /** Why, as a whole sentence without values of the item. */
  readonly text: string;
}

export interface PullResponse {
  readonly entries: readonly Entry[];
  /** An id of each entry as it came, also of those that are not valid, in the order of the response. */
  readonly ids: readonly string[];
  /** The responder's `ingest_seq` of the last entry; `undefined` when the page has no entries. */
  readonly nextCursor: number | undefined;
  readonly deletions: readonly Deletion[];
  /** The responder's `delete_seq` of the last deletion; `undefined` when the page has no deletions. */
  readonly nextDeleteCursor: number | undefined;
  /** What was skipped. The cursors move past it, because the same page would come each time. */
  readonly invalid: readonly InvalidItem[];
}

/** A page to send: entries and deletions as JSON, because their size is required while they are collected. */
export interface EncodedPage {
  readonly entries: readonly string[];
  readonly nextCursor: number | undefined;
  /** `undefined` for a requester that does not support deletions: the response is that of `rr` 0.1. */
  readonly deletions: readonly string[] | undefined;
  readonly nextDeleteCursor: number | undefined;
}

/** A message violates the protocol. The same request would fail again. */
export class BadMessageError extends Error {
  override readonly name = 'BadMessageError';
  readonly code = 'BAD_MESSAGE';
}

export async function encodeRequest(protocol: string, request: PullRequest): Promise<Uint8Array> {
  const { cursor, deleteCursor, limit } = request;
  // The field is absent when it is undefined.
  const json = JSON.stringify({ cursor, limit, delete_cursor: deleteCursor });
  return encode(protocol, json, MAX_REQUEST_BYTES, 'request');
}

/** @throws BadMessageError, MessageTooLargeError, StreamCutError */
export async function decodeRequest(protocol: string, message: Uint8Array): Promise<PullRequest> {
  const fields = await decode(protocol, message, MAX_REQUEST_BYTES, 'request');
  const cursor = readCount(fields['cursor'] ?? 0, 'cursor');
  const limit = readCount(fields['limit'], 'limit');
  const deleteCursor =
    (fields['delete_cursor'] ?? undefined) === undefined
      ? undefined
      : readCount(fields['delete_cursor'], 'delete_cursor');
  const maxLimit = deleteCursor === undefined ? MAX_LIMIT_WITHOUT_DELETIONS : MAX_LIMIT;
  // `rr` also raises a limit of 0.
  return { cursor, deleteCursor, limit: Math.max(1, Math.min(limit, maxLimit)) };
}

/** Reads a field of a request. Integers that are not exact in JavaScript are larger than any number of this database. */
function readCount(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new BadMessageError(`The ${name} of the request must be an integer of at least 0.`);
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}

/** @throws MessageTooLargeError */
export async function encodeResponse(protocol: string, page: EncodedPage): Promise<Uint8Array> {
  const { entries, nextCursor, deletions, nextDeleteCursor } = page;
  const fields = [`"entries":[${entries.join(',')}]`, `"next_cursor":${nextCursor ?? 'null'}`];
  if (deletions !== undefined)
    fields.push(`"deletions":[${deletions.join(',')}]`, `"next_delete_cursor":${nextDeleteCursor ?? 'null'}`);
  return encode(protocol, `{${fields.join(',')}}`, MAX_RESPONSE_BYTES, 'response');
}

/** @throws BadMessageError, MessageTooLargeError, StreamCutError */
export async function decodeResponse(
  protocol: string,
  message: Uint8Array,
  request: PullRequest,
): Promise<PullResponse> {
  const fields = await decode(protocol, message, MAX_RESPONSE_BYTES, 'response');
  const entries = readList(fields['entries'], 'entries', request.limit);
  // Absent in responses of `rr` 0.1.
  const deletions = readList(fields['deletions'] ?? [], 'deletions', request.limit);
  const nextCursor =
    entries.length === 0 ? undefined : readNext(fields['next_cursor'], 'next_cursor', request.cursor);
  const nextDeleteCursor =
    deletions.length === 0
      ? undefined
      : readNext(fields['next_delete_cursor'], 'next_delete_cursor', request.deleteCursor ?? 0);
  return { ...readEntries(entries, deletions), nextCursor, nextDeleteCursor };
}

function readEntries(entryValues: readonly unknown[], deletionValues: readonly unknown[]) {
  const invalid: InvalidItem[] = [];
  const entries = entryValues.flatMap((value, index) => {
    const checked = fromWire(value);
    if (checked.ok) return [checked.entry];
    invalid.push({ kind: 'entry', index, text: checked.text });
    return [];
  });
  const deletions = deletionValues.flatMap((value, index) => {
    const deletion = readDeletion(value);
    if (deletion !== undefined) return [deletion];
    invalid.push({ kind: 'deletion', index, text: 'The deletion has no valid entry_id.' });
    return [];
  });
  return { entries, ids: entryValues.map(identify), deletions, invalid };
}

/** The id of an entry as it came; a hash of the entry if its id is not valid, so that it can be recognized anyway. */
function identify(value: unknown): string {
  const id = typeof value === 'object' && value !== null && 'entry_id' in value ? value.entry_id : undefined;
  return isLabel(id) ? id : `sha256:${createHash('sha256').update(JSON.stringify(value)).digest('hex')}`;
}

/** Reads a list of the response. Some releases of `rr` apply the limit to each list, not to their sum. */
function readList(value: unknown, name: string, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new BadMessageError(`The field ${name} of the response must be a list.`);
  if (value.length > limit)
    throw new BadMessageError(
      `The response has ${value.length} ${name}; the limit of the request is ${limit}.`,
    );
  return value;
}

function readNext(value: unknown, name: string, after: number): number {
  if (!isCursor(value) || value <= after)
    throw new BadMessageError(`The ${name} of the response must be an integer greater than ${after}.`);
  return value;
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
