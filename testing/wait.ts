// Waits of tests: for a condition with a deadline, never for a fixed time.
import { WAIT_TIMEOUT_MS } from '../scripts/deadlines.ts';

export { WAIT_TIMEOUT_MS } from '../scripts/deadlines.ts';

/** Interval at which a condition is checked, in milliseconds. */
const CHECK_INTERVAL_MS = 10;

/** Resolves as soon as the condition holds. @throws when it does not hold within the deadline */
export async function until(
  condition: () => boolean | Promise<boolean>,
  description: string,
  timeoutMs: number = WAIT_TIMEOUT_MS,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs)
      throw new Error(`The condition did not hold within ${timeoutMs} ms: ${description}.`);
    await new Promise((resolve) => {
      setTimeout(resolve, CHECK_INTERVAL_MS);
    });
  }
}

/** A signal that aborts a call after the default deadline. */
export function deadlineSignal(): AbortSignal {
  return AbortSignal.timeout(WAIT_TIMEOUT_MS);
}
