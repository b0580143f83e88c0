// Reads a request's body: bounded text first, then JSON against a schema. What is wrong comes back as a value.
import type { z } from 'zod';
import { MAX_BODY_BYTES } from '../shared/contract.ts';
import type { ProblemCode } from './problems.ts';

/** Why a body is refused. */
export interface BodyRefusal {
  readonly refusal: ProblemCode;
  readonly detail?: string;
}

/** Content types of a body that is read as JSON; released clients send the first. */
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

/** The text of a JSON body of at most `MAX_BODY_BYTES`; no more than that is ever held. */
export async function readText(request: Request): Promise<string | BodyRefusal> {
  const type = request.headers.get('content-type');
  if (type !== null && !JSON_TYPE.test(type))
    return { refusal: 'unsupported_media_type', detail: 'send Content-Type: application/json' };
  const tooLarge = { refusal: 'body_too_large', detail: `the most is ${MAX_BODY_BYTES} bytes` } as const;
  const length = request.headers.get('content-length');
  // Node ends a body at its declared length; one without a length is counted as it arrives.
  if (length !== null && request.headers.get('transfer-encoding') === null)
    return Number(length) <= MAX_BODY_BYTES ? request.text() : tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) return tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A body as its schema reads it, or why it is refused: the first mistake, by the path of its field. */
export function readJson<T extends z.ZodType>(
  body: string,
  schema: T,
): { readonly value: z.infer<T> } | BodyRefusal {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { refusal: 'invalid_json' };
  }
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data };
  const [issue] = result.error.issues;
  return {
    refusal: 'invalid_request',
    detail: `${issue?.path.join('.') || 'the body'}: ${issue?.message ?? 'is not as described'}`,
  };
}
