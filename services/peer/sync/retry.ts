// The retry policy: whether a request is repeated, its idle timeout, and the pause before it.
import { errorCode } from '../../shared/errors.ts';
import { DatabaseError } from '../history/database.ts';
import { DialFailedError } from '../network/dial.ts';
import { CursorsHeldBackError } from './cursor-guard.ts';
import { BadMessageError } from './message-reader.ts';
import { NotMemberError } from './request.ts';
import { MessageTooLargeError } from './stream-io.ts';

export interface RetryPolicy {
  /** Maximum attempts without progress. */
  readonly attempts: number;
  /** Idle timeout of the first attempt in milliseconds. It doubles with each further attempt. */
  readonly timeoutBaseMs: number;
  /** Maximum idle timeout in milliseconds. */
  readonly timeoutCapMs: number;
  /** Pause after the first failure in milliseconds. It doubles with each further failure. */
  readonly backoffBaseMs: number;
}

/** Idle timeout of the next attempt in milliseconds, after `failures` consecutive failures. */
export function idleTimeoutAfter({ timeoutBaseMs, timeoutCapMs }: RetryPolicy, failures: number): number {
  return Math.min(timeoutBaseMs * 2 ** failures, timeoutCapMs);
}

/** Pause before the next attempt in milliseconds, after `failures` consecutive failures. */
export function backoffAfter({ backoffBaseMs }: RetryPolicy, failures: number): number {
  return backoffBaseMs * 2 ** Math.max(0, failures - 1);
}

/** Whether the same request would fail in the same way. */
export function isFinal(error: unknown): boolean {
  return (
    error instanceof DatabaseError ||
    // The dialer has repeated what may succeed.
    error instanceof DialFailedError ||
    error instanceof BadMessageError ||
    error instanceof MessageTooLargeError ||
    isRefusal(error) ||
    isUnsupported(error)
  );
}

/** Whether the peer does not support the protocol. */
export function isUnsupported(error: unknown): boolean {
  // The name of the error of libp2p.
  return errorCode(error) === 'UnsupportedProtocolError';
}

/** Whether the peer refuses this device or its cursors, which another request in this round does not change. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof CursorsHeldBackError ||
    error instanceof NotMemberError ||
    error instanceof PullRestartedError
  );
}

/** The peer had another database twice within an hour. */
export class PullRestartedError extends Error {
  override readonly name = 'PullRestartedError';
  readonly code = 'PULL_RESTARTED';

  constructor(waitSeconds: number) {
    const minutes = Math.max(1, Math.ceil(waitSeconds / 60));
    super(
      `The peer has another history than in the last sync, for the second time within an hour: is its identity key copied to another device? Its history is requested from the start again in ${minutes === 1 ? '1 minute' : `${minutes} minutes`}.`,
    );
  }
}
