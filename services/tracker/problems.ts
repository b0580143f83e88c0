// Every refusal the tracker answers with: its stable code, status and title (RFC 9457). Texts may change, codes not.
import type { Problem } from '../shared/contract.ts';

const PROBLEMS = {
  invalid_json: [400, 'The body is not JSON'],
  invalid_request: [400, 'The request is not as the API describes it'],
  invalid_peer_id: [400, 'peer_id is not a libp2p peer id'],
  invalid_address: [400, 'An address is not a multiaddr'],
  foreign_address: [400, 'An address belongs to another peer'],
  too_many_addresses: [400, 'Too many addresses'],
  unauthorized: [401, 'A valid token is needed'],
  forbidden: [403, 'The token does not allow this'],
  not_found: [404, 'There is nothing at this path'],
  method_not_allowed: [405, 'The path does not take this method'],
  body_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'The body must be application/json'],
  too_many_peers: [429, 'The most peers are registered'],
  too_many_requests: [429, 'Too many requests'],
  internal: [500, 'The tracker failed'],
  registry_unavailable: [503, 'The registry cannot be reached'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof PROBLEMS;

/** All codes, for metrics and documentation. */
export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** Longest detail, in characters: details may quote what the client sent. */
const MAX_DETAIL_LENGTH = 300;

/** The answer that refuses a request; `headers` adds to it, such as `Retry-After`. */
export function problemResponse(
  code: ProblemCode,
  detail?: string,
  headers: Record<string, string> = {},
): Response {
  const [status, title] = PROBLEMS[code];
  const problem: Problem = { type: `urn:rustory:problem:${code}`, title, status, code };
  if (detail !== undefined) problem.detail = detail.slice(0, MAX_DETAIL_LENGTH);
  return new Response(JSON.stringify(problem), {
    status,
    headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...headers },
  });
}

/**
 * Seconds after which a refused client may try again, as `Retry-After`: from `least` to twice that, at random,
 * so that clients refused together do not return together.
 */
export function retryAfter(least: number, random: () => number): Record<string, string> {
  return { 'Retry-After': String(Math.ceil(least + random() * least)) };
}
