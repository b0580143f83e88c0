// The pull protocol of `rr`: its two versions, their limits, and the encoding of requests and responses. Version 1.0.1
// is 1.0.0 with each message compressed by zstd.
import type { Deletion } from '../history/deletion.ts';
import type { Entry } from '../history/entry.ts';
import { BadMessageError, readMessage } from './message-reader.ts';
import { writeMessage } from './message-writer.ts';
import { createResponseCollector, type InvalidItem } from './response-collector.ts';

const PLAIN_PROTOCOL = '/rustory/sync-pull/1.0.0';
const ZSTD_PROTOCOL = '/rustory/sync-pull/1.0.1';

/** Both versions, in order of preference. */
export const PULL_PROTOCOLS: readonly string[] = [ZSTD_PROTOCOL, PLAIN_PROTOCOL];

/** Maximum size of a message on the wire in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

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

export async function encodeRequest(protocol: string, request: PullRequest): Promise<Uint8Array> {
  const { cursor, deleteCursor, limit } = request;
  // The field is absent when it is undefined.
  const json = JSON.stringify({ cursor, limit, delete_cursor: deleteCursor });
  return encode(protocol, json, MAX_REQUEST_BYTES, 'request');
}

/** @throws BadMessageError, MessageTooLargeError, StreamCutError */
export async function decodeRequest(protocol: string, message: Uint8Array): Promise<PullRequest> {
  const { fields } = await readMessage(message, {
    isCompressed: protocol === ZSTD_PROTOCOL,
    what: 'request',
    maxBytes: MAX_REQUEST_BYTES,
    lists: {},
    fields: ['cursor', 'limit', 'delete_cursor'],
  });
  const cursor = readCount(fields.get('cursor') ?? 0, 'cursor');
  const limit = readCount(fields.get('limit'), 'limit');
  const given = fields.get('delete_cursor') ?? undefined;
  const deleteCursor = given === undefined ? undefined : readCount(given, 'delete_cursor');
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
  const collector = createResponseCollector(request.limit);
  const { fields, counts } = await readMessage(message, {
    isCompressed: protocol === ZSTD_PROTOCOL,
    what: 'response',
    maxBytes: MAX_RESPONSE_BYTES,
    lists: collector.lists,
    fields: ['next_cursor', 'next_delete_cursor'],
  });
  if (!counts.has('entries')) throw new BadMessageError('The field entries of the response must be a list.');
  // Absent in responses of `rr` 0.1.
  if ((fields.get('deletions') ?? undefined) !== undefined)
    throw new BadMessageError('The field deletions of the response must be a list.');
  const readCursor = (list: string, name: string, after: number): number | undefined =>
    (counts.get(list) ?? 0) === 0 ? undefined : readNext(fields.get(name), name, after);
  return {
    ...collector.result,
    nextCursor: readCursor('entries', 'next_cursor', request.cursor),
    nextDeleteCursor: readCursor('deletions', 'next_delete_cursor', request.deleteCursor ?? 0),
  };
}

function readNext(value: unknown, name: string, after: number): number {
  if (!isCursor(value) || value <= after)
    throw new BadMessageError(`The ${name} of the response must be an integer greater than ${after}.`);
  return value;
}

async function encode(protocol: string, json: string, maxBytes: number, what: string): Promise<Uint8Array> {
  return writeMessage(json, { isCompressed: protocol === ZSTD_PROTOCOL, what, maxBytes });
}

function isCursor(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
