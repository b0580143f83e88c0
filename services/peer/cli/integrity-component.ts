// The check of the database when a hub starts: a damaged one is never served. The check of a large database goes on while the
// hub already serves, and ends it when it finds damage.
import { statSync } from 'node:fs';
import { monotonicMs } from '../../shared/clock.ts';
import type { Component, ComponentFailure } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import { PROGRAM } from '../config/config.ts';
import { type Integrity, type IntegrityCheck, startIntegrityCheck } from '../history/integrity.ts';
import { CommandError, EXIT_CODES } from './exit-codes.ts';
import { formatDuration } from './screen.ts';

/** Maximum time by which the check delays the start, in milliseconds; enough for some 10 GB on a fast disk. */
const START_WAIT_MS = 60_000;

/** Interval of the log lines about a check that takes long, in milliseconds. */
const PROGRESS_MS = 10_000;

const ADVICE = `Restore a backup with "${PROGRAM.name} restore FILE". Without a backup, move the database away, with the files beside it that end in -wal and -shm, and start again: every device pushes what it has to the new one.`;

export interface IntegrityDeps {
  readonly path: string;
  readonly log: Logger;
  readonly start?: (path: string) => IntegrityCheck;
  readonly startWaitMs?: number;
}

/**
 * Checks the database, and waits for the result for a limited time.
 *
 * @returns the component that ends the service when damage is found later
 * @throws CommandError when the database is damaged
 */
export async function checkIntegrity({
  path,
  log,
  start = startIntegrityCheck,
  startWaitMs = START_WAIT_MS,
}: IntegrityDeps): Promise<Component> {
  const startedMs = monotonicMs();
  const check = start(path);
  const bytes = statSync(path, { throwIfNoEntry: false })?.size;
  const progress = setInterval(
    () =>
      log.info({ path, bytes, elapsed: formatDuration(monotonicMs() - startedMs) }, 'checking the database'),
    PROGRESS_MS,
  );
  const stop = (): void => {
    clearInterval(progress);
    check.stop();
  };
  const report = (result: Integrity): string | undefined => {
    clearInterval(progress);
    const elapsed = formatDuration(monotonicMs() - startedMs);
    if (result.state === 'damaged') return `${path}: the database is damaged: ${result.text}.`;
    if (result.state === 'ok') log.info({ path, bytes, elapsed }, 'the database is not damaged');
    else log.warn({ path, error: result.text }, 'the database could not be checked');
    return undefined;
  };

  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), startWaitMs);
  const result = await Promise.race([check.result, late.promise]);
  clearTimeout(timer);
  if (result === undefined)
    log.info({ path, bytes }, 'the check of the database goes on while the hub serves');
  const problem = result === undefined ? undefined : report(result);
  if (problem !== undefined) throw new CommandError('database', problem, { advice: ADVICE });

  const failed = Promise.withResolvers<ComponentFailure>();
  let isStopped = false;
  async function watch(): Promise<void> {
    const found = await check.result;
    const text = isStopped ? undefined : report(found);
    if (text !== undefined) failed.resolve({ text: `${text} ${ADVICE}`, exitCode: EXIT_CODES.database.code });
  }
  return {
    name: 'integrity check',
    failed: failed.promise,
    async start() {
      if (result === undefined) void watch();
    },
    async stop() {
      isStopped = true;
      stop();
    },
  };
}
