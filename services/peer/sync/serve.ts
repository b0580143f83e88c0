// Serves pulls. Each request reads one page of the store, so that a slow requester holds no transaction, and a
// semaphore bounds how many responses are in memory.
import type { Connection, Stream } from '@libp2p/interface';
import { describeError, toError } from '../../shared/errors.ts';
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { anySignal } from '../../shared/signals.ts';
import type { Store } from '../history/store.ts';
import type { PeerLibp2p } from '../network/node.ts';
import { type AdmissionDeps, createAdmission } from './admission.ts';
import { createPageReader, type Unsendable } from './page.ts';
import type { PullEvent } from './pull-outcomes.ts';
import { createSemaphore, type PermitRefusal, type Semaphore } from './semaphore.ts';
import { type ServingLimits, servingLimits } from './serving-limits.ts';
import { readToEnd, writeAndClose } from './stream-io.ts';
import {
  decodeRequest,
  type EncodedPage,
  encodeResponse,
  MAX_REQUEST_BYTES,
  PULL_PROTOCOLS,
} from './sync-protocol.ts';

/** Maximum pulls of one peer, in work and waiting. */
const MAX_PULLS_PER_PEER = 4;

/**
 * Maximum time in the queue in milliseconds: the longest time that `rr` waits for an answer. A requester that waits shorter
 * leaves the queue itself.
 */
const QUEUE_TIMEOUT_MS = 20_000;

/** Idle timeout of a requester in milliseconds. */
const DEFAULT_IDLE_TIMEOUT_MS = 30_000;

/** Deadline of one request in milliseconds, so that a requester that sends slowly does not hold a permit for long. */
const REQUEST_DEADLINE_MS = 30_000;

/** Time in milliseconds until the stream of a refused requester that does not close it is aborted. */
const REFUSED_STREAM_MS = 10_000;

/** Maximum lines per minute and kind about pulls that failed or were refused, of which a device can cause any number. */
const PROBLEM_LINES_PER_MINUTE = 20;

/** Maximum lines per minute and kind about what cannot be sent. `doctor` counts all of it. */
const UNSENDABLE_LINES_PER_MINUTE = 5;

export interface ServeDeps extends AdmissionDeps {
  readonly libp2p: PeerLibp2p;
  readonly store: Store;
  /** Idle timeout of a requester in milliseconds. Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** Default: those of the memory of the process. */
  readonly limits?: ServingLimits;
  readonly onPull?: ((event: PullEvent) => void) | undefined;
}

/** Starts to serve pulls. Resolves to a function that stops serving and aborts responses in progress. */
export async function servePulls(deps: ServeDeps): Promise<() => Promise<void>> {
  const { libp2p, store, membership, log, nowMs, idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS, onPull } = deps;
  const semaphore = createPullSemaphore(deps.limits ?? servingLimits());
  const admission = createAdmission(deps);
  const logProblem = createLimitedLog<'failed' | PermitRefusal>({
    log,
    nowMs,
    level: 'warn',
    perMinute: PROBLEM_LINES_PER_MINUTE,
  });
  const pages = createPageReader(store, createUnsendableLog(log, nowMs));
  const stopping = new AbortController();

  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    const pull = createPull(connection.remotePeer.toString(), nowMs());
    try {
      // Before the permit, so that unknown peers that wait for a tracker delay no other.
      const admitted = await admission.admit(pull.peer);
      if (admitted.ok) await respondWithPermit(stream, pull, admitted.isMember);
      else {
        pull.outcome = 'refused';
        await closeUnanswered(stream);
      }
    } catch (error) {
      stream.abort(toError(error));
      logProblem('failed', { peer: pull.peer, error: describeError(error) }, 'pull failed', pull.peer);
    }
    const { startedMs, ...event } = pull;
    onPull?.({ ...event, durationMs: Math.round(nowMs() - startedMs) });
  }

  async function respondWithPermit(stream: Stream, pull: Pull, isMember: boolean): Promise<void> {
    // A requester that has left does not keep its turn.
    const permit = await semaphore.acquire(pull.peer, anySignal(stopping.signal, closed(stream)));
    if (!permit.ok) {
      const { reason } = permit;
      pull.outcome = reason === 'too many requests of this peer' ? 'too_many_of_peer' : 'too_many';
      logProblem(reason, { peer: pull.peer, reason }, 'pull refused');
      stream.abort(new Error(`The pull was refused: ${reason}.`));
      return;
    }
    try {
      await respond(stream, pull, isMember);
    } finally {
      permit.release();
    }
  }

  async function respond(stream: Stream, pull: Pull, isMember: boolean): Promise<void> {
    const startedMs = nowMs();
    const deadline = anySignal(stopping.signal, AbortSignal.timeout(REQUEST_DEADLINE_MS));
    const message = await readToEnd(stream, MAX_REQUEST_BYTES, { idleTimeoutMs, signal: deadline });
    const request = await decodeRequest(stream.protocol, message);
    pull.isBeyondStored = !admission.acknowledge(pull.peer, isMember, request);
    const page = await pages.read(request);
    const { entries, deletions, bytes } = await prepareResponse(page, stream.protocol);
    await writeAndClose(stream, bytes, { idleTimeoutMs, signal: stopping.signal });
    Object.assign(pull, { outcome: 'served', entries, deletions, bytes: bytes.length });
    const durationMs = Math.round(nowMs() - startedMs);
    const fields = { peer: pull.peer, entries, deletions, bytes: bytes.length, durationMs };
    // Devices pull at each interval, so empty responses are logged at debug.
    log[entries + deletions > 0 ? 'info' : 'debug'](fields, 'pull served');
  }

  await libp2p.handle([...PULL_PROTOCOLS], onStream, {
    maxInboundStreams: MAX_PULLS_PER_PEER,
    // A circuit is a limited connection, on which the library refuses protocols without this option.
    runOnLimitedConnection: true,
  });
  return async () => {
    stopping.abort(new Error('This peer is stopping.'));
    membership.stop();
    await libp2p.unhandle([...PULL_PROTOCOLS]);
  };
}

/** What is known about a pull; it grows while it is in work. */
type Pull = { -readonly [Field in keyof Omit<PullEvent, 'durationMs'>]: PullEvent[Field] } & {
  readonly startedMs: number;
};

function createPull(peer: string, startedMs: number): Pull {
  return { outcome: 'failed', peer, entries: 0, deletions: 0, bytes: 0, isBeyondStored: false, startedMs };
}

/** A pull that is refused looks to its requester like one that is answered to members only, so the queue is long. */
function createPullSemaphore({ inWork, waiting }: ServingLimits): Semaphore {
  return createSemaphore({
    maxPermits: inWork,
    maxPermitsPerPeer: MAX_PULLS_PER_PEER,
    maxQueued: waiting,
    queueTimeoutMs: QUEUE_TIMEOUT_MS,
  });
}

/** A signal that aborts when the stream closes. */
function closed(stream: Stream): AbortSignal {
  const controller = new AbortController();
  if (stream.status === 'open') stream.addEventListener('close', () => controller.abort(), { once: true });
  else controller.abort();
  return controller.signal;
}

/** Logs what cannot be sent, each item once a minute. */
function createUnsendableLog(log: Logger, nowMs: () => number): (unsendable: Unsendable) => void {
  const limited = createLimitedLog<Unsendable['kind']>({
    log,
    nowMs,
    perMinute: UNSENDABLE_LINES_PER_MINUTE,
  });
  return ({ kind, seq, text }) =>
    limited(kind, { seq, reason: text }, `a stored ${kind} cannot be sent and is left out`, String(seq));
}

/** Returns only the bytes, so that the page is not kept in memory while a slow requester reads them. */
async function prepareResponse(page: EncodedPage, protocol: string) {
  const bytes = await encodeResponse(protocol, page);
  return { entries: page.entries.length, deletions: page.deletions?.length ?? 0, bytes };
}

/** Closes the stream without a byte, which is how `rr` refuses a pull. */
async function closeUnanswered(stream: Stream): Promise<void> {
  const timer = setTimeout(
    () => stream.abort(new Error('The requester did not close the stream of a refused pull.')),
    REFUSED_STREAM_MS,
  );
  stream.addEventListener('close', () => clearTimeout(timer), { once: true });
  const signal = AbortSignal.timeout(REFUSED_STREAM_MS);
  await stream.closeRead({ signal });
  await stream.close({ signal });
}
