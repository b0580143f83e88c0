// The API as data: the paths with their methods, schemas and answers. `app.ts` mounts handlers on these, and the
// OpenAPI document is made from the same objects.
import { z } from 'zod';
import {
  listAnswerSchema,
  MAX_BODY_BYTES,
  problemSchema,
  registerAnswerSchema,
  registerRequestSchema,
  unregisterAnswerSchema,
  unregisterRequestSchema,
} from '../shared/contract.ts';

/** Most peers on one page. */
export const MAX_PAGE = 1_000;

/** Peers on a page when a cursor is given without a limit. */
export const DEFAULT_PAGE = 100;

const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});
const retryable = (description: string) => ({
  ...problem(`${description} \`Retry-After\` says when to try again.`),
  headers: z.object({ 'Retry-After': z.string().meta({ description: 'Seconds.' }) }),
});

const refusals = {
  401: problem('Tokens are configured, and the request has no valid one.'),
  429: retryable('Too many requests, or the most peers are registered.'),
  503: retryable('The registry cannot be reached.'),
};
const bodyRefusals = {
  400: problem('The request is not as described; the detail says what is wrong.'),
  403: problem('The token does not allow this.'),
  413: problem(`The body is larger than ${MAX_BODY_BYTES} bytes.`),
  415: problem('The body is not application/json.'),
};

/** Either header opens the API where tokens are configured; where none are, both are ignored. */
const security = [{ bearer: [] }, { rustoryToken: [] }, {}];

export const pingRoute = {
  method: 'get',
  path: '/api/v1/ping',
  summary: 'Whether the tracker answers',
  security,
  responses: {
    200: { description: 'It does.', content: { 'text/plain': { schema: z.literal('ok\n') } } },
    401: refusals[401],
    429: refusals[429],
  },
} as const;

export const registerRoute = {
  method: 'post',
  path: '/api/v1/peers/register',
  summary: 'Register a device, or say that it is still there',
  description:
    'Replaces the whole record of the peer id. A record is listed for `ttl_sec` seconds; register again before. ' +
    'Addresses on which nobody can be reached (`0.0.0.0`, `::`, port 0) are dropped.',
  security,
  request: { body: { required: true, content: json(registerRequestSchema) } },
  responses: {
    200: { description: 'Registered.', content: json(registerAnswerSchema) },
    ...bodyRefusals,
    ...refusals,
  },
} as const;

export const unregisterRoute = {
  method: 'post',
  path: '/api/v1/peers/unregister',
  summary: 'Remove a device',
  security,
  request: { body: { required: true, content: json(unregisterRequestSchema) } },
  responses: {
    200: { description: 'Whether it was registered.', content: json(unregisterAnswerSchema) },
    ...bodyRefusals,
    ...refusals,
  },
} as const;

export const listRoute = {
  method: 'get',
  path: '/api/v1/peers',
  summary: 'List devices, newest registration first',
  description:
    'Without `limit` and `cursor` the answer holds every device. With them it is a page: it may hold fewer than ' +
    '`limit`, and `next_cursor` continues it. A device that registers again between two pages moves to the front.',
  security,
  request: {
    query: z.object({
      user_id: z.string().optional().meta({ description: "Only this user's devices." }),
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(MAX_PAGE)
        .optional()
        .meta({ description: 'Most devices on a page.' }),
      cursor: z.string().optional().meta({ description: '`next_cursor` of the page before.' }),
    }),
    headers: z.object({
      'If-None-Match': z.string().optional().meta({ description: '`ETag` of a listing already held.' }),
    }),
  },
  responses: {
    200: {
      description: 'The devices.',
      headers: z.object({
        ETag: z
          .string()
          .meta({ description: 'Changes with who is listed and with what, not with when they were seen.' }),
      }),
      content: json(listAnswerSchema),
    },
    304: { description: 'The listing held is current.' },
    400: problem('A parameter is not as described.'),
    403: problem('The token does not allow this.'),
    ...refusals,
  },
} as const;

/** What the OpenAPI document says besides the paths. */
export const documentInfo = {
  title: 'rustory tracker',
  description:
    'Devices register their addresses for a time and list each other. Errors are RFC 9457 problems with a stable `code`.',
  license: { name: 'MIT', identifier: 'MIT' },
};

export const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer' },
  rustoryToken: { type: 'apiKey', in: 'header', name: 'X-Rustory-Token' },
} as const;
