// Runs named checks in order, prints the result of each, and ends with one line that counts them.
import { describeError } from '../services/shared/errors.ts';

export interface Checks {
  /**
   * Runs one check and returns whether it passed. `name` is a sentence; the text that `verify` returns is printed
   * after it. A check fails if `verify` throws.
   */
  check(name: string, verify: () => Promise<string | void> | string | void): Promise<boolean>;
  /** Prints one line of progress. */
  report(text: string): void;
  /** Prints the counts and returns the exit code. */
  finish(): number;
}

export function createChecks(write: (text: string) => void): Checks {
  const startedMs = performance.now();
  const count = { passed: 0, failed: 0 };
  const printLine = (mark: string, text: string): void => {
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
    write(`${seconds} s  ${mark.padEnd(4)}  ${text}\n`);
  };
  return {
    async check(name, verify) {
      try {
        const detail = await verify();
        count.passed += 1;
        printLine('ok', detail === undefined ? name : `${name}: ${detail}`);
        return true;
      } catch (error) {
        count.failed += 1;
        printLine('FAIL', name);
        write(`${describeError(error).replaceAll(/^/gm, '            ')}\n`);
        return false;
      }
    },
    report: (text) => printLine('', text),
    finish() {
      write(`\n${count.passed} passed, ${count.failed} failed\n`);
      return count.failed === 0 && count.passed > 0 ? 0 : 1;
    },
  };
}
