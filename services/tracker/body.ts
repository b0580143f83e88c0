// Reads the body of a request: first as text of limited size, then as JSON that matches a schema.
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { MAX_BODY_BYTES } from '../shared/contract.ts';
import type { Result } from '../shared/result.ts';
import type { ProblemCode } from './problems.ts';

/** The value that was read from a request, or the problem code of the refusal. */
export type Parsed<Value extends object> = Result<Value, ProblemCode, { readonly detail?: string }>;

/** Accepted content types of a JSON body. Released clients send the first one. */
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

/** Declared size in bytes up to which a body is read at once, without counting it. Most registrations are shorter. */
const SMALL_BODY_BYTES = 8 * 1024;

/**
 * Maximum bytes of all larger bodies that are being read. Above this limit such requests are refused as overload, so
 * that clients which send slowly on many connections cannot fill the memory.
 */
export const MAX_READING_BYTES = 8 * 1024 * 1024;

export type BodyReader = (request: Request) => Promise<Parsed<{ readonly text: string }>>;

/** Creates a reader of JSON bodies. A body above `MAX_BODY_BYTES` is refused and never completely held in memory. */
export function createBodyReader(maxReadingBytes: number = MAX_READING_BYTES): BodyReader {
  let readingBytes = 0;

  /** Counts a body as it arrives. */
  async function readCounted(request: Request): Promise<Parsed<{ readonly text: string }>> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of request.body ?? []) {
        bytes += chunk.byteLength;
        readingBytes += chunk.byteLength;
        if (bytes > MAX_BODY_BYTES) return TOO_LARGE;
        if (readingBytes > maxReadingBytes) return { ok: false, reason: 'overloaded' };
        chunks.push(chunk);
      }
      return { ok: true, text: new TextDecoder().decode(Buffer.concat(chunks)) };
    } finally {
      readingBytes -= bytes;
    }
  }

  return async (request) => {
    const { headers } = request;
    const transferEncoding = headers.get('transfer-encoding');
    const type = headers.get('content-type');
    const refusal = typeRefusal(type, headers.get('content-encoding'), transferEncoding);
    if (refusal !== undefined) return refusal;
    // Node ends a body at its declared length; one without a length is counted as it arrives.
    const length = transferEncoding === null ? headers.get('content-length') : null;
    if (Number(length) > MAX_BODY_BYTES) return TOO_LARGE;
    try {
      if (length !== null && Number(length) <= SMALL_BODY_BYTES)
        return { ok: true, text: await request.text() };
      return await readCounted(request);
    } catch {
      return INCOMPLETE;
    }
  };
}

/** The body ended too early: the client closed the connection, or did not send the rest in time. */
const INCOMPLETE = { ok: false, reason: 'incomplete_body' } as const;

/** Whether a body has an accepted type and a declared size up to which it is read at once. */
export function isSmallBody(header: (name: string) => string | undefined): boolean {
  const length = header('content-length');
  if (length === undefined || header('transfer-encoding') !== undefined) return false;
  if (Number(length) > SMALL_BODY_BYTES) return false;
  return typeRefusal(header('content-type') ?? null, header('content-encoding') ?? null, null) === undefined;
}

/**
 * Reads a small body from the request of Node, and calls `done` once, with the same text as a reader of the web API.
 */
export function readSmallBody(
  request: IncomingMessage,
  done: (body: Parsed<{ readonly text: string }>) => void,
): void {
  const chunks: Buffer[] = [];
  let isDone = false;
  request.on('data', (chunk: Buffer) => void chunks.push(chunk));
  request.on('end', () => {
    isDone = true;
    const [first = Buffer.alloc(0)] = chunks;
    done({ ok: true, text: decode(chunks.length < 2 ? first : Buffer.concat(chunks)) });
  });
  request.on('close', () => {
    if (!isDone) done(INCOMPLETE);
  });
}

/** The first byte of a byte order mark, which decoders remove. */
const BYTE_ORDER_MARK = 0xef;

function decode(bytes: Buffer): string {
  return bytes[0] === BYTE_ORDER_MARK ? new TextDecoder().decode(bytes) : bytes.toString('utf8');
}

/** Why a body is refused for its headers; `undefined` when it is not. */
function typeRefusal(
  type: string | null,
  contentEncoding: string | null,
  transferEncoding: string | null,
): Parsed<never> | undefined {
  if (type !== null && type !== 'application/json' && !JSON_TYPE.test(type))
    return unsupported('send Content-Type: application/json');
  if (isUncompressed(contentEncoding) && isUncompressed(transferEncoding)) return undefined;
  return unsupported('send the body without compression, that is without Content-Encoding');
}

const TOO_LARGE = {
  ok: false,
  reason: 'body_too_large',
  detail: `the maximum is ${MAX_BODY_BYTES} bytes`,
} as const;

function unsupported(detail: string): Parsed<never> {
  return { ok: false, reason: 'unsupported_media_type', detail };
}

/** The codings of a body that is not compressed. */
const UNCOMPRESSED = /^[\s,]*((identity|chunked)[\s,]*)*$/i;

function isUncompressed(encoding: string | null): boolean {
  return encoding === null || UNCOMPRESSED.test(encoding);
}

/** Parses a JSON text and validates it against a schema. The detail of a refusal names the first invalid field. */
export function parseJson<T extends z.ZodType>(
  text: string,
  schema: T,
): Parsed<{ readonly value: z.infer<T> }> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: 'invalid_json' };
  }
  return parseValue(value, schema, 'the body');
}

/**
 * Validates a value against a schema. The detail of a refusal names the first invalid field.
 *
 * @param name name of the whole value in the detail
 */
export function parseValue<T extends z.ZodType>(
  value: unknown,
  schema: T,
  name: string,
): Parsed<{ readonly value: z.infer<T> }> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const [issue] = result.error.issues;
  return {
    ok: false,
    reason: 'invalid_request',
    detail: `${issue?.path.join('.') || name}: ${issue?.message ?? 'does not match the API description'}`,
  };
}
