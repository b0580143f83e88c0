// The API as data: the routes with their methods, schemas and responses. `handlers.ts` has a handler for each route,
// and the OpenAPI document is generated from the same objects.
import { z } from 'zod';
import {
  listResponseSchema,
  MAX_BODY_BYTES,
  problemSchema,
  registerResponseSchema,
  registerRequestSchema,
  unregisterResponseSchema,
  unregisterRequestSchema,
} from '../shared/contract.ts';
import { listQuerySchema } from './list-query.ts';

const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});
const retryable = (description: string) => ({
  ...problem(`${description} \`Retry-After\` is the number of seconds to wait before the next attempt.`),
  headers: z.object({ 'Retry-After': z.string().meta({ description: 'Seconds.' }) }),
});

const refusals = {
  401: problem('Tokens are configured, and the request has no valid token.'),
  421: problem('The host of the request is not one of `TRACKER_ALLOWED_HOSTS`.'),
  429: retryable('Too many requests, or the maximum number of peers is registered.'),
  503: retryable(
    'The registry does not answer (`registry_unavailable`), or the tracker is overloaded (`overloaded`).',
  ),
};
const bodyRefusals = {
  400: problem('The request does not match this description; `detail` describes the problem.'),
  403: problem('The token does not permit this, or the request is from a web page of another origin.'),
  413: problem(`The body is larger than ${MAX_BODY_BYTES} bytes.`),
  415: problem('The body is not application/json, or is compressed.'),
};

/** Either header is accepted when tokens are configured; otherwise both are ignored. */
const security = [{ bearer: [] }, { rustoryToken: [] }, {}];

const ping = {
  method: 'get',
  path: '/api/v1/ping',
  summary: 'Check that the tracker answers',
  security,
  responses: {
    200: { description: 'The tracker answers.', content: { 'text/plain': { schema: z.literal('ok\n') } } },
    401: refusals[401],
    421: refusals[421],
    429: refusals[429],
  },
} as const;

const register = {
  method: 'post',
  path: '/api/v1/peers/register',
  summary: 'Register a device or renew its registration',
  description:
    'Replaces the whole record of the peer id. A record is listed for `ttl_sec` seconds; register again before it expires. ' +
    'No registration is refused for its addresses: those that no device can use are dropped. Unknown fields are ignored.',
  security,
  request: { body: { required: true, content: json(registerRequestSchema) } },
  responses: {
    200: { description: 'The device is registered.', content: json(registerResponseSchema) },
    ...bodyRefusals,
    ...refusals,
  },
} as const;

const unregister = {
  method: 'post',
  path: '/api/v1/peers/unregister',
  summary: 'Remove a device',
  security,
  request: { body: { required: true, content: json(unregisterRequestSchema) } },
  responses: {
    200: { description: 'Whether the device was registered.', content: json(unregisterResponseSchema) },
    ...bodyRefusals,
    ...refusals,
  },
} as const;

const list = {
  method: 'get',
  path: '/api/v1/peers',
  summary: 'List devices',
  description:
    'Without `limit` and `cursor` the response contains all devices, newest registration first, up to 512 KiB; the ' +
    'devices that registered longest ago are left out. With one of them it is a page, and `next_cursor` is the cursor ' +
    'of the next page. With `TRACKER_STAR`, of each user with a registered hub only the hub is listed, except to tokens that ' +
    'are marked `hub` or `read-only`. Pages are in order of `peer_id`, and may contain fewer devices than `limit`. A device that stays ' +
    'registered is on exactly one page.',
  security,
  request: {
    query: listQuerySchema,
    headers: z.object({
      'If-None-Match': z
        .string()
        .optional()
        .meta({ description: '`ETag` of the cached listing of the client.' }),
    }),
  },
  responses: {
    200: {
      description: 'The devices.',
      headers: z.object({
        ETag: z.string().meta({
          description:
            'Depends on the registered devices, their addresses and `meta`, but not on the times of registration.',
        }),
      }),
      content: json(listResponseSchema),
    },
    304: { description: 'The cached listing of the client is current.' },
    400: problem('A parameter does not match this description.'),
    403: problem('The token does not permit this.'),
    ...refusals,
  },
} as const;

/** All routes, in the order of the OpenAPI document. */
export const routes = { ping, register, unregister, list } as const;

export type RouteName = keyof typeof routes;

/** The pattern of all paths of the API. */
export const API_PATHS = '/api/*';

const apiPaths: ReadonlySet<string> = new Set(Object.values(routes).map(({ path }) => path));

/** Whether a path is one of the API. */
export function isApiPath(path: string): boolean {
  return apiPaths.has(path);
}

export const documentInfo = {
  title: 'rustory tracker',
  description:
    'Devices register their addresses for a limited time and list each other. Errors are RFC 9457 problems with a stable `code`.',
  license: { name: 'MIT', identifier: 'MIT' },
};

export const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer' },
  rustoryToken: { type: 'apiKey', in: 'header', name: 'X-Rustory-Token' },
} as const;
