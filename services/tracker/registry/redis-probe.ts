// Probes Redis at an interval with the commands of the work, so that requests fail immediately while Redis cannot do
// it, and /readyz, the log and the metrics have the reason.
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '../../shared/clock.ts';
import { describeError } from '../../shared/errors.ts';
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { checkClaims, checkCommands, checkWrites } from './redis-checks.ts';
import type { RegistryCounts } from './counts.ts';
import type { RedisClient } from './redis-client.ts';
import { readCounts } from './redis-counts.ts';
import type { RedisLink } from './redis-link.ts';
import { withinRoundTrip } from './redis-store.ts';
import { describeRedisProblem, type RedisProblem, redisProblemOf } from './redis-problems.ts';

/** Pause between probes, in milliseconds; also the maximum time until the tracker detects that Redis has recovered. */
const PROBE_INTERVAL_MS = 250;

/**
 * Interval in milliseconds of the probes that send all commands and ask the Sentinels for the master. They are also sent
 * on each new connection and until they succeed.
 */
const FULL_PROBE_MS = 5_000;

/** Consecutive failed probes after which the client is replaced. */
const MAX_FAILED_PROBES = 2;

/** Minimum age of a connection that is replaced because all probes fail, in milliseconds. */
const MIN_AGE_MS = 1_000;

/** Time in milliseconds after which a client is replaced that does not reach all nodes of a Cluster. */
const PARTIAL_MS = 8_000;

/** Lines per minute in the log for each reason. */
const LINES_PER_MINUTE = 2;

/** Reasons that a new connection can end: it may lead to another server, or log in again. */
const RENEWING: ReadonlySet<RedisProblem> = new Set([
  'unreachable',
  'login',
  'read_only',
  'cluster_down',
  'other',
]);

/** Reasons with which Redis still reads. */
const WRITES_ONLY: ReadonlySet<RedisProblem> = new Set(['full', 'read_only', 'replicas', 'disk']);

export interface ProbeOptions {
  readonly link: RedisLink;
  readonly ttlMicros: number;
  readonly log: Logger;
  /** Receives the duration of each probe in seconds; when it failed, `undefined` and the reason. */
  readonly onProbe?: ((seconds: number | undefined, reason?: RedisProblem) => void) | undefined;
}

export interface Probe {
  /** Resolves after the first probe. Probes continue until `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The reason why the last probe failed; `undefined` when it succeeded. */
  problem(): string | undefined;
  /** Why a call cannot succeed; `undefined` when it may. */
  refusal(kind: 'read' | 'write'): string | undefined;
  /** Number of live peers by the last probe that could count them. */
  live(): number | undefined;
  /** The other counts by the last full probe; `undefined` while they cannot be counted. */
  counts(): RegistryCounts | undefined;
}

interface Found {
  readonly reason: RedisProblem;
  readonly text: string;
  /** Whether other nodes of the Cluster do their work. */
  readonly isPartial: boolean;
}

export function createProbe({ link, ttlMicros, log, onProbe }: ProbeOptions): Probe {
  const stopping = new AbortController();
  const writeLog = createLimitedLog<RedisProblem | 'usable' | 'claims'>({ log, perMinute: LINES_PER_MINUTE });
  let found: Found | undefined = { reason: 'unreachable', text: 'not connected yet', isPartial: false };
  let logged: RedisProblem | 'usable' | undefined;
  let live: number | undefined;
  let counts: RegistryCounts | undefined;
  let failedProbes = 0;
  let partialSinceMs: number | undefined;
  let fullProbeDueMs = 0;
  let connection = 0;
  let connectedAtMs = 0;
  let running: Promise<void> = Promise.resolve();

  async function check(client: RedisClient): Promise<Found | undefined> {
    if (connection !== link.connections()) {
      connection = link.connections();
      connectedAtMs = monotonicMs();
      fullProbeDueMs = 0;
    }
    const isFull = found !== undefined || monotonicMs() >= fullProbeDueMs;
    const written = await withinRoundTrip(checkWrites(client, ttlMicros));
    ({ live } = written);
    if (written.failed !== undefined) {
      const { masters, of, error } = written.failed;
      link.noticeMoved(error);
      const reason = redisProblemOf(error);
      const text = `${masters} of ${of} masters of the Cluster: ${describeRedisProblem(reason, error)}`;
      return { reason, text, isPartial: true };
    }
    if (!isFull) return undefined;
    const claims = checkClaims(client).catch((error: unknown) =>
      writeLog('claims', { problem: describeError(error) }, 'redis: conflicts of identities are not found'),
    );
    const counting = readCounts(client, ttlMicros).catch(() => undefined);
    await withinRoundTrip(Promise.all([checkCommands(client), claims]));
    counts = await withinRoundTrip(counting);
    fullProbeDueMs = monotonicMs() + FULL_PROBE_MS;
    void link.checkMaster();
    return undefined;
  }

  async function findProblem(): Promise<Found | undefined> {
    const client = link.client();
    try {
      if (client === undefined) throw link.failure();
      return await check(client);
    } catch (error) {
      link.noticeMoved(error);
      const reason = redisProblemOf(error);
      return { reason, text: describeRedisProblem(reason, error), isPartial: false };
    }
  }

  function renewIfNeeded(): void {
    failedProbes = found === undefined || found.isPartial ? 0 : failedProbes + 1;
    partialSinceMs = found?.isPartial === true ? (partialSinceMs ?? monotonicMs()) : undefined;
    if (found === undefined || !RENEWING.has(found.reason) || link.client() === undefined) return;
    const nowMs = monotonicMs();
    const isPartialForLong = partialSinceMs !== undefined && nowMs - partialSinceMs >= PARTIAL_MS;
    const isFailing = failedProbes >= MAX_FAILED_PROBES && nowMs - connectedAtMs >= MIN_AGE_MS;
    if (!isPartialForLong && !isFailing) return;
    // With a frozen server or a broken network the connection seems open. A new connection also finds a new master.
    failedProbes = 0;
    partialSinceMs = undefined;
    link.renew();
  }

  async function probe(): Promise<void> {
    const beganMs = monotonicMs();
    found = await findProblem();
    if (found !== undefined) counts = undefined;
    if (stopping.signal.aborted) return;
    if (found === undefined) onProbe?.((monotonicMs() - beganMs) / 1_000);
    else onProbe?.(undefined, found.reason);
    // Only a change of the reason is logged, because the text may differ from probe to probe.
    const current = found?.reason ?? 'usable';
    if (current !== logged)
      writeLog(
        current,
        { answers: found === undefined, reason: found?.reason, problem: found?.text },
        'redis',
      );
    logged = current;
    renewIfNeeded();
  }

  async function probeUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      await pause(PROBE_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => {});
      if (!stopping.signal.aborted) await probe();
    }
  }

  return {
    async start() {
      await probe();
      running = probeUntilStopped();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    problem: () => found?.text,
    refusal(kind) {
      if (found === undefined || found.isPartial) return undefined;
      return kind === 'read' && WRITES_ONLY.has(found.reason) ? undefined : found.text;
    },
    live: () => live,
    counts: () => counts,
  };
}
