// All refusals of the tracker, each with its stable code, its status and its title (RFC 9457). Only the texts may
// change.
import { MAX_BODY_BYTES, type Problem } from '../shared/contract.ts';
import type { Answer } from './api-request.ts';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** The meaning of a rising number and what to change; shown in docs/metrics.md. */
  readonly doc: string;
}

function unknownClient(mistake: string): string {
  return `${mistake}. Probable cause: a client other than \`rr\`, or a newer version of \`rr\`; \`LOG_LEVEL=debug\` logs the paths.`;
}

export const PROBLEMS = {
  invalid_json: { status: 400, title: 'The body is not JSON', doc: unknownClient('A body is not JSON') },
  invalid_request: {
    status: 400,
    title: 'The request does not match the API description',
    doc: unknownClient('A body or a query does not match the API'),
  },
  invalid_peer_id: {
    status: 400,
    title: 'peer_id is not a libp2p peer id',
    doc: unknownClient('A request has a peer id that is not a libp2p peer id'),
  },
  unauthorized: {
    status: 401,
    title: 'A valid token is required',
    doc: 'A request has no valid token. Add the token to `TRACKER_TOKENS_FILE`, or update the devices after a rotation.',
  },
  forbidden: {
    status: 403,
    title: 'The token does not permit this',
    doc: 'The token of a request is bound to another user or read-only, or is not marked `hub` and registered the peer id of a live hub. Change its line in `TRACKER_TOKENS_FILE`.',
  },
  foreign_page: {
    status: 403,
    title: 'Requests from web pages of other origins are refused',
    doc: 'A web page of another origin made the browser of a visitor send the request. Devices never do. The log has the address.',
  },
  unknown_host: {
    status: 421,
    title: 'The host of the request is not one of this tracker',
    doc: 'The host name in the URL of a client is not in `TRACKER_ALLOWED_HOSTS`. Add it, or correct the URL of the device.',
  },
  not_found: {
    status: 404,
    title: 'The path does not exist',
    doc: unknownClient('A request has a path that does not exist'),
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not support this method',
    doc: unknownClient('A request has a method that its path does not support'),
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    doc: unknownClient(`A body is larger than ${MAX_BODY_BYTES} bytes`),
  },
  incomplete_body: {
    status: 400,
    title: 'The body ended too early',
    doc: 'A client closed the connection while it sent a body, or sent it too slowly. Rises when connections of devices are cut; otherwise probably an attack with slow requests.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body must be application/json without compression',
    doc: unknownClient('A body is not declared as JSON, or is compressed'),
  },
  too_many_peers: {
    status: 429,
    title: 'The maximum number of peers is registered',
    doc: 'The maximum number of peers is registered, and new devices are refused. Raise `TRACKER_MAX_PEERS`.',
  },
  too_many_requests: {
    status: 429,
    title: 'Too many requests',
    doc:
      'A client repeats requests without pauses, or a rate limit is too low: `TRACKER_TOKEN_REQUESTS_PER_MINUTE`, ' +
      '`TRACKER_PEER_REQUESTS_PER_MINUTE` or `TRACKER_ADDRESS_REQUESTS_PER_MINUTE`. Or an address repeats requests without a valid token ' +
      '(`TRACKER_FAILED_LOGINS_PER_MINUTE`).',
  },
  internal: {
    status: 500,
    title: 'The tracker failed',
    doc: 'A bug in the tracker. The log has the cause, at level `error`.',
  },
  overloaded: {
    status: 503,
    title: 'The tracker is overloaded',
    doc: 'More requests arrive than this replica can send to Redis. Give it more CPU time, or add replicas.',
  },
  registry_unavailable: {
    status: 503,
    title: 'The registry does not answer',
    doc: 'Redis did not answer. The log and `/readyz` have the reason.',
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** Maximum length of a detail, in characters. The rest is cut off, because details may quote what the client sent. */
const MAX_DETAIL_LENGTH = 300;

/** The answer that refuses a request. `headers` are added to it, such as `Retry-After`. */
export function problemAnswer(
  code: ProblemCode,
  detail?: string,
  headers: Record<string, string> = {},
): Answer {
  const { status, title } = PROBLEMS[code];
  const problem: Problem = { type: `urn:rustory:problem:${code}`, title, status, code };
  if (detail !== undefined) problem.detail = detail.slice(0, MAX_DETAIL_LENGTH);
  return {
    status,
    headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...headers },
    body: JSON.stringify(problem),
  };
}

/**
 * The `Retry-After` header of a refusal: a random time from `minSeconds` to twice that, so that clients that
 * were refused at the same time do not retry at the same time.
 */
export function retryAfter(minSeconds: number, random: () => number): Record<string, string> {
  return { 'Retry-After': String(Math.ceil(minSeconds + random() * minSeconds)) };
}
