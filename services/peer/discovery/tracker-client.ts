// Speaks to one tracker (DESIGN 3.1). Every call has a deadline and every answer a largest size; the token goes
// into a header and nowhere else.
import { describeError } from '../../shared/errors.ts';
import {
  type Meta,
  type Peer,
  listAnswerSchema,
  problemSchema,
  registerAnswerSchema,
} from '../../shared/contract.ts';

/** How long one call may take, in milliseconds: the longest that `rr` waits for a tracker. */
const CALL_TIMEOUT_MS = 5_000;

/** Largest answer, in bytes: some thousand peers with all their addresses. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** What this device registers. */
export interface Registration {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly meta: Meta;
}

export interface TrackerClient {
  /** The tracker's URL, for people and logs. */
  readonly url: string;
  /** Resolves to the time to live, in seconds. */
  register(registration: Registration, signal?: AbortSignal): Promise<number>;
  unregister(peerId: string, signal?: AbortSignal): Promise<void>;
  list(userId: string, signal?: AbortSignal): Promise<Peer[]>;
}

/** Thrown when a tracker cannot be asked or refuses. */
export class TrackerError extends Error {
  override readonly name = 'TrackerError';
  readonly code = 'TRACKER';
  /** The HTTP status of its answer, where there was one. */
  readonly status: number | undefined;

  constructor(url: string, reason: string, options: { status?: number; cause?: unknown } = {}) {
    super(`tracker ${url} ${reason}`, { cause: options.cause });
    this.status = options.status;
  }
}

export interface TrackerClientOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly timeoutMs?: number;
}

export function createTrackerClient({
  url,
  token,
  timeoutMs = CALL_TIMEOUT_MS,
}: TrackerClientOptions): TrackerClient {
  async function call(method: 'GET' | 'POST', path: string, body: unknown, signal: AbortSignal | undefined) {
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // A redirect would carry the token to wherever it points.
        redirect: 'error',
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      });
      const text = await readBounded(response);
      if (!response.ok)
        throw new TrackerError(url, refusal(response.status, text), { status: response.status });
      return JSON.parse(text) as unknown;
    } catch (error) {
      if (error instanceof TrackerError) throw error;
      if (deadline.aborted) throw new TrackerError(url, `did not answer within ${timeoutMs} ms`);
      throw new TrackerError(url, `cannot be asked: ${describeError(error)}`);
    }
  }

  function checked<T>(schema: { parse(value: unknown): T }, answer: unknown): T {
    try {
      return schema.parse(answer);
    } catch {
      throw new TrackerError(url, 'gave an answer that is none of a rustory tracker');
    }
  }

  return {
    url,
    async register({ peerId, addresses, meta }, signal) {
      const answer = await call(
        'POST',
        '/api/v1/peers/register',
        { peer_id: peerId, addrs: addresses, meta },
        signal,
      );
      return checked(registerAnswerSchema, answer).ttl_sec;
    },
    async unregister(peerId, signal) {
      await call('POST', '/api/v1/peers/unregister', { peer_id: peerId }, signal);
    },
    async list(userId, signal) {
      const query = new URLSearchParams({ user_id: userId });
      return checked(
        listAnswerSchema,
        await call('GET', `/api/v1/peers?${query.toString()}`, undefined, signal),
      ).peers;
    },
  };
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusal(status: number, text: string): string {
  const hint = status === 401 || status === 403 ? '; set tracker_token to the token of this grid' : '';
  const problem = problemSchema.safeParse(tryParse(text));
  const detail = problem.success ? `: ${problem.data.detail ?? problem.data.title}` : '';
  return `refused with ${status}${detail}${hint}`;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
