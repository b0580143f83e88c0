// Accepts pushes. The answer goes out when all valid items are on the disk, or with `ok: false` before the sender gives up
// waiting. Permission is checked before the push is read, and everything is counted before it occupies memory.
import type { Connection, Stream } from '@libp2p/interface';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, toError } from '../../shared/errors.ts';
import { aborted, anySignal } from '../../shared/signals.ts';
import { DatabaseError } from '../history/database.ts';
import type { Store } from '../history/store.ts';
import type { PeerLibp2p } from '../network/node.ts';
import { type AdmissionDeps, createAdmission } from './admission.ts';
import { type ByteHold, createByteBudget } from './byte-budget.ts';
import { createLatePushes } from './late-pushes.ts';
import { createPeerLocks } from './peer-locks.ts';
import { createPushAnswers, RECEIVE_MS } from './push-answers.ts';
import {
  outcomeOf,
  outcomeOfPermit,
  outcomeOfStorage,
  type PushEvent,
  type PushOutcome,
  type PushStorage,
} from './push-outcomes.ts';
import { MAX_PUSH_BYTES, PUSH_PROTOCOLS } from './push-protocol.ts';
import { createPushReport } from './push-report.ts';
import { createRecord, type PushRecord, workOn } from './push-work.ts';
import { createPushWriter, type PushWriter } from './push-writer.ts';
import { createSemaphore, type Semaphore } from './semaphore.ts';
import { type ServingLimits, servingLimits } from './serving-limits.ts';
import {
  CHUNK_BYTES,
  MessageTooLargeError,
  readOrDiscard,
  StreamCutError,
  StreamTimeoutError,
} from './stream-io.ts';

/**
 * Default time from the arrival of a push until its answer in milliseconds, without the time in which its bytes arrive. `rr` waits 5 s
 * for the answer to its first request.
 */
const DEFAULT_ANSWER_MS = 3_000;

/** Minimum time for the work on a push whose permission or memory came late, in milliseconds. */
const MIN_WORK_MS = 500;

/** Default idle timeout of a sender in milliseconds. */
const DEFAULT_IDLE_TIMEOUT_MS = 10_000;

/** Maximum time of the work on a push, also after its answer, in milliseconds: more than the largest one needs on a busy machine. */
const MAX_WORK_MS = 300_000;

/** Maximum pushes of one peer: its daemon and its one-shot commands push at the same time, each one after the other. */
const MAX_PUSHES_PER_PEER = 4;

/** Maximum streams of one connection. More than the pushes, because a refused one gets an answer too. */
const MAX_STREAMS_PER_CONNECTION = 16;

/** Maximum time for the pushes in work when this peer stops, in milliseconds. */
const STOP_MS = 1_000;

export interface PushServeDeps extends AdmissionDeps {
  readonly libp2p: PeerLibp2p;
  readonly store: Store;
  /** The user of this device. */
  readonly userId: string;
  /** Default: everything is tried to be stored. */
  readonly storage?: PushStorage | undefined;
  readonly onPush?: ((event: PushEvent) => void) | undefined;
  /** Default: those of the memory of the process. */
  readonly limits?: ServingLimits;
  /** Idle timeout of a sender in milliseconds. Default 10,000. */
  readonly idleTimeoutMs?: number;
  /** Maximum time until the answer in milliseconds, without the time in which the bytes arrive. Default 3,000. */
  readonly answerMs?: number | undefined;
}

export interface PushServer {
  /** Accepts no new pushes, and resolves when those in work are answered, or when the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** Starts to accept pushes. */
export async function servePushes(deps: PushServeDeps): Promise<PushServer> {
  const { libp2p, membership, nowMs } = deps;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const writer = createPushWriter(deps);
  const report = createPushReport(deps);
  const handle = createPushHandler(deps, writer, stopping.signal);

  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    const startedMs = nowMs();
    const record = createRecord(connection.remotePeer.toString());
    let outcome: PushOutcome;
    try {
      outcome = await handle(stream, record);
    } catch (error) {
      outcome = stopping.signal.aborted ? 'stopping' : outcomeOfError(error, deps.storage);
      record.problem = describeError(error);
      stream.abort(toError(error));
    }
    report(record, outcome, nowMs() - startedMs);
  }

  function onPushStream(stream: Stream, connection: Connection): void {
    // Until it is read. The library would receive up to 4 MiB of it, and abort it above that.
    if (stream.readStatus === 'readable') stream.pause();
    const push = onStream(stream, connection);
    running.add(push);
    void push.finally(() => running.delete(push));
  }

  await libp2p.handle([...PUSH_PROTOCOLS], onPushStream, {
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
    // A circuit is a limited connection, on which the library refuses protocols without this option.
    runOnLimitedConnection: true,
  });
  return {
    async drain(signal) {
      await libp2p.unhandle([...PUSH_PROTOCOLS]);
      await Promise.race([Promise.allSettled(running), aborted(signal)]);
    },
    async stop() {
      stopping.abort(new Error('This peer is stopping.'));
      writer.stop();
      membership.stop();
      await libp2p.unhandle([...PUSH_PROTOCOLS]);
      await Promise.race([Promise.allSettled(running), sleep(STOP_MS, undefined, { ref: false })]);
    },
  };
}

type PushHandler = (stream: Stream, record: PushRecord) => Promise<PushOutcome>;

/** Receives, stores and answers one push. */
function createPushHandler(deps: PushServeDeps, writer: PushWriter, stopping: AbortSignal): PushHandler {
  const { membership, userId, nowMs, storage, log } = deps;
  const { limits = servingLimits(), idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS } = deps;
  const { answerMs = DEFAULT_ANSWER_MS } = deps;
  const [places, turns] = createSemaphores(limits, answerMs);
  const [locks, late] = [createPeerLocks(), createLatePushes()];
  const [budget, decoded] = [createByteBudget(limits.pushBytes), createByteBudget(limits.pushBytes)];
  const admission = createAdmission(deps);
  const { answer, refuse } = createPushAnswers({ log, idleTimeoutMs, signal: stopping });

  /** Receives the push within the limit on memory. The waits for memory are measured. */
  async function receive(stream: Stream, hold: ByteHold, waits: Stopwatch): Promise<Buffer | undefined> {
    return readOrDiscard(stream, MAX_PUSH_BYTES, {
      idleTimeoutMs,
      signal: anySignal(stopping, AbortSignal.timeout(RECEIVE_MS)),
      grow(bytes) {
        const leftMs = Math.max(0, answerMs - waits.totalMs());
        const isGranted = hold.grow(Math.max(0, bytes - CHUNK_BYTES), AbortSignal.timeout(Math.ceil(leftMs)));
        return isGranted === true ? true : waits.measure(isGranted);
      },
    });
  }

  /** Answers when the push is stored or at the deadline, and resolves when the work has ended. */
  async function storeInTime(stream: Stream, record: PushRecord, message: Buffer, leftMs: number) {
    const deadline = AbortSignal.timeout(Math.ceil(Math.max(Math.min(MIN_WORK_MS, answerMs), leftMs)));
    const signal = anySignal(stopping, AbortSignal.timeout(MAX_WORK_MS));
    const options = { protocol: stream.protocol, message, deadline, signal };
    const parts = { membership, userId, locks, late, turns, decoded, writer, storage };
    const work = workOn(record, parts, options).catch((error: unknown): PushOutcome => {
      if (stopping.aborted) return 'stopping';
      if (error instanceof DatabaseError) return outcomeOfStorage(error, storage);
      throw error;
    });
    const atDeadline = aborted(deadline).then((): PushOutcome => (writer.isLocked() ? 'locked' : 'deadline'));
    const outcome = await Promise.race([work, atDeadline]);
    await answer(stream, record, outcome);
    await work;
    return outcome;
  }

  /** Resolves to the reason if the push is refused. */
  async function admit(record: PushRecord): Promise<PushOutcome | undefined> {
    const admitted = await admission.admitPush(record.peer);
    if (!admitted.ok) return outcomeOf(admitted.reason);
    record.member = admitted.member;
    const checked = storage?.check('deletions');
    return checked?.ok === false ? checked.reason : undefined;
  }

  return async (stream, record) => {
    const place = await places.acquire(record.peer, stopping);
    if (!place.ok) return refuse(stream, record, outcomeOfPermit(place.reason));
    const hold = budget.open();
    const waits = createStopwatch(nowMs);
    let refusal: PushOutcome | undefined;
    try {
      refusal = await waits.measure(admit(record));
      if (refusal === undefined) {
        const message = await receive(stream, hold, waits);
        if (message === undefined) return await answer(stream, record, 'too_many');
        record.bytes = message.length;
        return await storeInTime(stream, record, message, answerMs - waits.totalMs());
      }
    } finally {
      hold.release();
      place.release();
    }
    // Without a place, because what is discarded may arrive slowly.
    return refuse(stream, record, refusal);
  };
}

/** The places of pushes, in work or waiting, and the turns of those whose bytes have arrived. */
function createSemaphores(
  { inWork, waiting }: ServingLimits,
  answerMs: number,
): readonly [places: Semaphore, turns: Semaphore] {
  const perPeer = { maxPermitsPerPeer: MAX_PUSHES_PER_PEER };
  const maxPushes = inWork + waiting;
  return [
    createSemaphore({ ...perPeer, maxPermits: maxPushes, maxQueued: 0, queueTimeoutMs: 0 }),
    createSemaphore({ ...perPeer, maxPermits: inWork, maxQueued: maxPushes, queueTimeoutMs: answerMs }),
  ];
}

interface Stopwatch {
  /** Measures how long the work takes. */
  measure<T>(work: Promise<T>): Promise<T>;
  totalMs(): number;
}

function createStopwatch(nowMs: () => number): Stopwatch {
  let totalMs = 0;
  return {
    async measure(work) {
      const startedMs = nowMs();
      try {
        return await work;
      } finally {
        totalMs += nowMs() - startedMs;
      }
    },
    totalMs: () => totalMs,
  };
}

function outcomeOfError(error: unknown, storage: PushStorage | undefined): PushOutcome {
  if (error instanceof DatabaseError) return outcomeOfStorage(error, storage);
  if (error instanceof MessageTooLargeError) return 'invalid_message';
  return error instanceof StreamCutError || error instanceof StreamTimeoutError || isTimeout(error)
    ? 'interrupted'
    : 'failed';
}

/** Whether a deadline of this file has passed. */
function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError';
}
