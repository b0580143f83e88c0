// The database of a command that runs until a signal. A file that is deleted or replaced under the running process ends it,
// because what is written to the open file would be lost.
import { describeError } from '../../shared/errors.ts';
import type { Component, ComponentFailure } from '../../shared/lifecycle.ts';
import type { Database } from '../history/database.ts';
import { adviceOf, EXIT_CODES } from './exit-codes.ts';

/** Interval in milliseconds at which the file is checked. Each read and write checks it too. */
const CHECK_INTERVAL_MS = 2_000;

/** The component that closes the database, and fails when its file is deleted or replaced. */
export function createDatabaseComponent(
  database: Database,
  checkIntervalMs: number = CHECK_INTERVAL_MS,
): Component {
  const failed = Promise.withResolvers<ComponentFailure>();
  let timer: NodeJS.Timeout | undefined;

  function check(): void {
    try {
      database.check();
    } catch (error) {
      clearInterval(timer);
      const advice = adviceOf(error);
      const text = [error instanceof Error ? error.message : describeError(error), advice ?? ''];
      failed.resolve({ text: text.join(' ').trim(), exitCode: EXIT_CODES.database.code });
    }
  }

  return {
    name: 'database',
    failed: failed.promise,
    start: async () => void (timer = setInterval(check, checkIntervalMs)),
    async stop() {
      clearInterval(timer);
      database.close();
    },
  };
}
