// A list of checks that runs in order, says how each went, and ends with one line that counts them.
import { describeError } from '../services/shared/errors.ts';

export interface Checks {
  /** Runs one check; the sentence says what holds when it passes. Answers whether it did. */
  check(sentence: string, holds: () => Promise<string | void> | string | void): Promise<boolean>;
  /** One line of progress. */
  say(text: string): void;
  /** Prints the count and answers the exit code. */
  finish(): number;
}

export function createChecks(write: (text: string) => void): Checks {
  const started = performance.now();
  const count = { passed: 0, failed: 0 };
  const line = (mark: string, text: string): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
    write(`${seconds} s  ${mark.padEnd(4)}  ${text}\n`);
  };
  return {
    async check(sentence, holds) {
      try {
        const detail = await holds();
        count.passed += 1;
        line('ok', detail === undefined ? sentence : `${sentence}: ${detail}`);
        return true;
      } catch (error) {
        count.failed += 1;
        line('FAIL', sentence);
        write(`${describeError(error).replaceAll(/^/gm, '            ')}\n`);
        return false;
      }
    },
    say: (text) => line('', text),
    finish() {
      write(`\n${count.passed} passed, ${count.failed} failed\n`);
      return count.failed === 0 && count.passed > 0 ? 0 : 1;
    },
  };
}
