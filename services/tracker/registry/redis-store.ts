// What all calls of the registry in Redis share: the client, the deadline of a round trip, and how errors are counted.
import { describeError } from '../../shared/errors.ts';
import type { LimitedLog } from '../../shared/limited-log.ts';
import type { RedisClient } from './redis-client.ts';
import { isReply, type RedisProblem, redisProblemOf } from './redis-problems.ts';
import { RegistryOverloadedError, RegistryUnavailableError } from './registry.ts';

/** Deadline of one round trip in milliseconds, for replies that keep arriving but are too slow. */
const ROUND_TRIP_MS = 5_000;

/** The state of one call of the registry. */
export interface Store {
  readonly client: RedisClient;
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  readonly roundTrip: RoundTrip;
  /** Counts and logs the error of a command. */
  readonly report: ReportError;
}

/** @param failure what did not happen */
export type ReportError = (error: unknown, failure: string) => void;

/**
 * Waits for the replies to commands that were sent together. @throws RegistryUnavailableError, RegistryOverloadedError
 */
export type RoundTrip = <T extends readonly unknown[] | []>(
  commands: T,
) => Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;

/** @param onError receives the reason of each error, for the metrics */
export function createReportError(
  writeLog: LimitedLog<RedisProblem>,
  onError: ((reason: RedisProblem) => void) | undefined,
): ReportError {
  return (error, failure) => {
    const reason = redisProblemOf(error);
    onError?.(reason);
    writeLog(reason, { reason, error: describeError(error) }, failure);
  };
}

export function createRoundTrip(report: ReportError, connectionError: () => unknown): RoundTrip {
  return async (commands) => {
    try {
      return await withinRoundTrip(Promise.all(commands));
    } catch (error) {
      if (error instanceof RegistryOverloadedError) throw error;
      // A command without a connection fails without the reason.
      const cause = isReply(error) ? error : (connectionError() ?? error);
      report(cause, 'redis command failed');
      throw new RegistryUnavailableError('Redis did not execute a command.', { cause });
    }
  };
}

/** @throws RegistryOverloadedError after the deadline */
export async function withinRoundTrip<T>(replies: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new RegistryOverloadedError(`The replies took longer than ${ROUND_TRIP_MS} ms.`)),
    ROUND_TRIP_MS,
  );
  try {
    return await Promise.race([replies, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets commands run without waiting for their replies. */
export function inBackground(
  { report }: Store,
  failure: string,
  commands: readonly Promise<unknown>[],
): void {
  for (const command of commands) command.catch((error: unknown) => report(error, failure));
}
