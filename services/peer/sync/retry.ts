// When a request is tried again, and when that would be in vain.
import { errorCode } from '../../shared/errors.ts';
import { DatabaseError } from '../history/database.ts';
import { BadEntryError } from '../history/entry.ts';
import { MessageTooLargeError } from './stream-io.ts';
import { BadMessageError } from './sync-protocol.ts';

/** How often a request is tried without progress, and how long each try may be silent. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly timeoutBaseMs: number;
  readonly timeoutCapMs: number;
  readonly backoffBaseMs: number;
}

/** How long try number `failures + 1` may be silent, in milliseconds. */
export function silenceOf({ timeoutBaseMs, timeoutCapMs }: RetryPolicy, failures: number): number {
  return Math.min(timeoutBaseMs * 2 ** failures, timeoutCapMs);
}

/** How long to pause after that many failures in a row, in milliseconds. */
export function backoffOf({ backoffBaseMs }: RetryPolicy, failures: number): number {
  return backoffBaseMs * 2 ** Math.max(0, failures - 1);
}

/** Whether asking again would bring the same. */
export function isFinal(error: unknown): boolean {
  return (
    error instanceof DatabaseError ||
    error instanceof BadEntryError ||
    error instanceof BadMessageError ||
    error instanceof MessageTooLargeError ||
    errorCode(error) === 'UnsupportedProtocolError'
  );
}
