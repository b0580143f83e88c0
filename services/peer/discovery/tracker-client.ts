// The client of one tracker. Every request has a deadline and every response a maximum size. The token is sent only
// in a header, never logged, and never sent in clear text to another machine, as in `rr` 1.x.
import { describeError } from '../../shared/errors.ts';
import { mayReceiveToken } from '../../shared/loopback.ts';
import { acceptedAckSchema, acceptedProblemSchema, type Meta } from '../../shared/contract.ts';
import { monotonicMs } from '../../shared/clock.ts';
import { anySignal } from '../../shared/signals.ts';
import type { Lookup } from '../../shared/tcp-connect.ts';
import { PAGE_PEERS, readPages, type RequestPage } from './listing-pages.ts';
import { readListing } from './listing-reader.ts';
import type { KnownPeer } from './peer-book.ts';
import { requestTracker } from './tracker-request.ts';

/** Deadline of one request in milliseconds, the same as in `rr`. */
const REQUEST_TIMEOUT_MS = 5_000;

/** Maximum size of a response that is no listing, in bytes. A larger one is an error. */
const MAX_RESPONSE_BYTES = 64 * 1024;

/** Maximum length of a tracker's own words in an error, in characters. The rest is omitted. */
const MAX_REASON_LENGTH = 500;

/** Maximum length of the target of a redirect in an error, in characters. The rest is omitted. */
const MAX_TARGET_LENGTH = 200;

/** The registration of this device. */
export interface Announcement {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly meta: Meta;
}

/** The response to a registration. */
export interface Registered {
  /** Time to live of the registration in seconds, as the tracker states it; `undefined` when it states none. */
  readonly ttlSeconds: number | undefined;
}

export interface PeerList {
  /** At most one record of each peer. */
  readonly peers: readonly KnownPeer[];
  /** Entries of the tracker's list that were skipped because they are not valid. */
  readonly skipped: number;
  /** The peer ids that the tracker lists as revoked. They are not in `peers`. */
  readonly revoked?: readonly string[];
  /** Why the list is not complete, as the end of a sentence. The next call continues it. */
  readonly incomplete?: string | undefined;
  /** The time of the response by the clock of the tracker; `undefined` when its response has no date. */
  readonly sentUnixSeconds?: number | undefined;
}

export interface TrackerClient {
  /** The tracker's URL, for messages and logs. */
  readonly url: string;
  /** Registers this device, or renews its registration. @throws TrackerError */
  register(announcement: Announcement, signal?: AbortSignal): Promise<Registered>;
  /** @throws TrackerError */
  unregister(peerId: string, signal?: AbortSignal): Promise<void>;
  /**
   * Lists the devices of a user, this one included: all pages of a list with pages. @throws TrackerError
   *
   * @param ownPeerId the own peer id. A tracker that lists only the hub of the user lists the own record too, and other
   *   trackers ignore it
   */
  list(userId: string, signal?: AbortSignal, ownPeerId?: string): Promise<PeerList>;
}

/** The tracker cannot be reached, refused the request, or sent a response that cannot be read. */
export class TrackerError extends Error {
  override readonly name = 'TrackerError';
  readonly code = 'TRACKER_FAILED';
  /** The HTTP status of the response; absent when there was no response. */
  readonly status: number | undefined;
  /** The pause that the tracker asks for, in seconds; absent when it asks for none. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    options: { status?: number; retryAfterSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = options.status;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export interface TrackerClientOptions {
  readonly url: string;
  /** The token, or a function that is called for each request; `undefined` without one. */
  readonly token: string | (() => string) | undefined;
  /** Whether the token is also sent over http:// to another machine. Default false. */
  readonly tokenOverHttp?: boolean;
  /** Deadline of one request in milliseconds. Default 5,000. */
  readonly timeoutMs?: number;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
}

export function createTrackerClient({
  url,
  token,
  tokenOverHttp = false,
  timeoutMs = REQUEST_TIMEOUT_MS,
  lookup,
  nowMs = monotonicMs,
}: TrackerClientOptions): TrackerClient {
  /** Where the next list of a user continues; absent after a complete one. */
  const resumeAt = new Map<string, string>();
  const tokenProblem =
    token === undefined || tokenOverHttp || mayReceiveToken(new URL(url)) ? undefined : describeToken(url);

  /** Sends a request and reads its response with `read`, within one deadline. */
  async function request<T>(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    if (tokenProblem !== undefined) throw new TrackerError(tokenProblem);
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const response = await requestTracker(`${url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(token === undefined ? {} : { Authorization: `Bearer ${readToken(token)}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: anySignal(deadline, signal),
        lookup,
      });
      const redirect = describeRedirect(url, response);
      if (redirect !== undefined) {
        await response.body?.cancel();
        throw new TrackerError(redirect, { status: response.status });
      }
      const { status, headers } = response;
      if (!response.ok)
        throw new TrackerError(describeRefusal(url, status, await readBody(response)), {
          status,
          retryAfterSeconds: readRetryAfter(headers),
        });
      return await read(response);
    } catch (error) {
      if (error instanceof TrackerError) throw error;
      if (deadline.aborted)
        throw new TrackerError(`The tracker ${url} did not respond within ${timeoutMs} ms.`);
      throw new TrackerError(`The tracker ${url} cannot be used: ${describeError(error)}.`, { cause: error });
    }
  }

  function validate<T>(schema: Schema<T>, body: unknown): T {
    const result = schema.safeParse(body);
    if (result.success) return result.data;
    throw new TrackerError(describeOther(url));
  }

  return {
    url,
    async register({ peerId, addresses, meta }, signal) {
      const announced = { peer_id: peerId, addrs: addresses, meta };
      const body = await request('POST', '/api/v1/peers/register', announced, signal, readJson);
      return { ttlSeconds: validate(acceptedAckSchema, body).ttl_sec };
    },
    async unregister(peerId, signal) {
      await request('POST', '/api/v1/peers/unregister', { peer_id: peerId }, signal, readJson);
    },
    async list(userId, signal, ownPeerId) {
      const requestPage: RequestPage = async ({ cursor, isWhole = false }, maxBytes) => {
        const query = new URLSearchParams({
          user_id: userId,
          ...(ownPeerId === undefined ? {} : { peer_id: ownPeerId }),
          ...(isWhole ? {} : { limit: String(PAGE_PEERS) }),
          ...(cursor === undefined ? {} : { cursor }),
        });
        const path = `/api/v1/peers?${query.toString()}`;
        return request('GET', path, undefined, signal, async ({ body, headers }) => {
          const page = await readListing(body ?? [], maxBytes);
          if (page.lists.peers === undefined) throw new TrackerError(describeOther(url));
          return { ...page, sentUnixSeconds: readDate(headers) };
        });
      };
      const pages = await readPages(requestPage, isPageProblem, resumeAt.get(userId), nowMs);
      const { peers, revoked, skipped, sentUnixSeconds, incomplete } = pages;
      if (pages.resumeAt === undefined) resumeAt.delete(userId);
      else resumeAt.set(userId, pages.resumeAt);
      const isRevoked = new Set(revoked);
      const usable = peers.filter(({ peerId }) => !isRevoked.has(peerId));
      return { peers: usable, revoked, skipped, sentUnixSeconds, incomplete };
    },
  };
}

function readToken(token: string | (() => string)): string {
  return typeof token === 'string' ? token : token();
}

interface Schema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false };
}

/** Whether the tracker may answer the same request without pages: it does not know them, or has only older lists. */
function isPageProblem(error: unknown): boolean {
  const { status = 0 } = error instanceof TrackerError ? error : {};
  return status === 400 || status === 422 || status >= 500;
}

function describeOther(url: string): string {
  return `The response of ${url} is not that of a rustory tracker. Check the URL in trackers.`;
}

async function readJson(response: Response): Promise<unknown> {
  return JSON.parse(await readBody(response)) as unknown;
}

async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_RESPONSE_BYTES)
      throw new Error(`The response is larger than ${MAX_RESPONSE_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function describeToken(url: string): string {
  return (
    `The tracker ${url} gets no request, because tracker_token would be sent in clear text: the address is neither ` +
    'https nor loopback. Set trackers to an https URL; in a network that you trust, remove tracker_token here and ' +
    'the tokens of the tracker, or set tracker_token_over_http = true, which rr does not have.'
  );
}

/** One sentence for a response that is a redirect; `undefined` for any other response. */
export function describeRedirect(
  url: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
): string | undefined {
  const location = headers.get('location');
  if (location === null || status < 300 || status > 399) return undefined;
  const target = URL.parse(location, url);
  // The query and the login of the target are omitted, because they may be secrets.
  const shown = target === null ? 'an invalid URL' : `${target.protocol}//${target.host}${target.pathname}`;
  return (
    `The tracker ${url} answers with a redirect to ${shown.slice(0, MAX_TARGET_LENGTH)}, which neither rr nor ` +
    'this program follows. Set trackers to the URL behind the redirect, or remove the redirect.'
  );
}

/** The pause in a `Retry-After` header, which trackers send as a number of seconds. */
function readRetryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? '';
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

function readDate(headers: Headers): number | undefined {
  const unixMs = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(unixMs) ? undefined : Math.floor(unixMs / 1000);
}

function describeRefusal(url: string, status: number, text: string): string {
  const { data: problem } = acceptedProblemSchema.safeParse(tryParse(text));
  const reason =
    problem === undefined
      ? ''
      : `: ${(problem.detail ?? problem.title).slice(0, MAX_REASON_LENGTH).replace(/\.$/, '')}`;
  const advice = status === 401 || status === 403 ? ' Set tracker_token to a token of this network.' : '';
  return `The tracker ${url} refused the request with status ${status}${reason}.${advice}`;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
