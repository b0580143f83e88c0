// One turn with one peer: its time, its connection, which is opened when it is required and again after it was cut, and
// the failed attempts. A pull and a push share it.
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { DIAL_TIMEOUT_MS, type Dialed, type Dialer, DialFailedError, type Target } from '../network/dial.ts';
import type { DialAttempt } from '../network/dial-report.ts';
import { releaseConnection } from './connection.ts';

/** Time for one peer in milliseconds, the same as in `rr`. */
const PEER_MS = 30_000;

/** Maximum failed attempts in a report, because a large history uses many circuits. The oldest ones are dropped. */
const MAX_ATTEMPTS_KEPT = 64;

export interface SessionDeps {
  readonly dialer: Dialer;
  /** Starts the time for one peer: a signal that aborts at its end. Default: after 30 seconds. */
  readonly startSlot?: () => AbortSignal;
  readonly nowMs: () => number;
}

export interface SessionOptions {
  readonly signal?: AbortSignal | undefined;
  /** An open connection to the peer. Without one the session connects. */
  readonly dialed?: Dialed | undefined;
  /** Time for the peer in milliseconds. Default 30 seconds. */
  readonly timeMs?: number | undefined;
}

export interface Session {
  readonly peerId: string;
  /** Aborts at the end of the time for this peer, too. */
  readonly signal: AbortSignal;
  /** The address of the last connection; `undefined` when the peer could not be reached. */
  readonly address: string | undefined;
  /** Failed attempts to connect, and requests that failed. */
  readonly attempts: readonly DialAttempt[];
  /** The time for this peer in whole seconds, for reports. */
  readonly seconds: number;
  /** Whether more than half of the time for this peer has passed. */
  isHalfOver(): boolean;
  /** Whether the time for this peer has ended, and the caller has not stopped the session. */
  isLate(): boolean;
  /** Resolves to the open connection, or to a new one. @throws DialFailedError, or the reason of the signal */
  connect(): Promise<Dialed['connection']>;
  /** A request was answered. A large history needs many circuits, each of which may be dialed for as long. */
  onAnswer(): void;
  /** Keeps the attempts of a failure. A failure on an open connection is an attempt at the stage "protocol". */
  onFailure(error: unknown): void;
  release(): Promise<void>;
}

export function startSession(
  target: Target,
  { dialer, startSlot, nowMs }: SessionDeps,
  options: SessionOptions,
): Session {
  const { timeMs = PEER_MS } = options;
  const slot = startSlot?.() ?? AbortSignal.timeout(timeMs);
  const signal = anySignal(options.signal, slot);
  const state: { dialed: Dialed | undefined } = { dialed: options.dialed };
  const startMs = nowMs();
  const attempts: DialAttempt[] = [...(options.dialed?.failed ?? [])];
  let address = options.dialed?.address;
  /** Time that is left for connecting to the peer, in milliseconds, until the next answer arrives. */
  let dialTimeoutMs = DIAL_TIMEOUT_MS;

  function keep(more: readonly DialAttempt[]): void {
    attempts.push(...more);
    attempts.splice(0, attempts.length - MAX_ATTEMPTS_KEPT);
  }

  return {
    peerId: target.peerId,
    signal,
    get address() {
      return address;
    },
    attempts,
    seconds: Math.round(timeMs / 1_000),
    isHalfOver: () => nowMs() - startMs > timeMs / 2,
    isLate: () => slot.aborted && options.signal?.aborted !== true,
    async connect() {
      if (state.dialed?.connection.status === 'open') return state.dialed.connection;
      const startedMs = nowMs();
      const dialed = await dialer.connect(target, dialTimeoutMs, signal);
      state.dialed = dialed;
      dialTimeoutMs = Math.max(0, dialTimeoutMs - Math.ceil(nowMs() - startedMs));
      ({ address } = dialed);
      keep(dialed.failed);
      return dialed.connection;
    },
    onAnswer: () => void (dialTimeoutMs = DIAL_TIMEOUT_MS),
    onFailure(error) {
      if (error instanceof DialFailedError) keep(error.attempts);
      else if (address !== undefined) keep([{ address, stage: 'protocol', reason: describeError(error) }]);
    },
    release: async () => releaseConnection(state),
  };
}
