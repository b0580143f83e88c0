// Reads the body of a request: first as text of limited size, then as JSON that matches a schema.
import type { z } from 'zod';
import { MAX_BODY_BYTES } from '../shared/contract.ts';
import type { Result } from '../shared/result.ts';
import type { ProblemCode } from './problems.ts';

/** The value that was read from a request, or the problem code of the refusal. */
export type Parsed<Value extends object> = Result<Value, ProblemCode, { readonly detail?: string }>;

/** Accepted content types of a JSON body. Released clients send the first one. */
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

/** Reads the text of a JSON body. A body above `MAX_BODY_BYTES` is refused and never completely held in memory. */
export async function readBody(request: Request): Promise<Parsed<{ readonly text: string }>> {
  const type = request.headers.get('content-type');
  if (type !== null && !JSON_TYPE.test(type))
    return { ok: false, reason: 'unsupported_media_type', detail: 'send Content-Type: application/json' };
  const tooLarge = {
    ok: false,
    reason: 'body_too_large',
    detail: `the maximum is ${MAX_BODY_BYTES} bytes`,
  } as const;
  const length = request.headers.get('content-length');
  // Node ends a body at its declared length; one without a length is counted as it arrives.
  if (length !== null && request.headers.get('transfer-encoding') === null)
    return Number(length) <= MAX_BODY_BYTES ? { ok: true, text: await request.text() } : tooLarge;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) return tooLarge;
    chunks.push(chunk);
  }
  return { ok: true, text: Buffer.concat(chunks).toString('utf8') };
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
