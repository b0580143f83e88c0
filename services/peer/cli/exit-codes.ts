// How a command of `rustory-peer` ends: the exit codes, which are stable because scripts read them, and the error
// that carries one together with what to do next.
import { EXIT_CONFIG, EXIT_FAILURE } from '../../shared/errors.ts';

/** Every exit code with its meaning; `rustory-peer --help` prints this table. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  failure: { code: EXIT_FAILURE, meaning: 'something else went wrong; the message says what' },
  usage: { code: 2, meaning: 'the command line was not understood' },
  unreachable: { code: 3, meaning: 'no peer could be found or synced' },
  partial: { code: 4, meaning: 'some peers were synced, some were not' },
  database: { code: 5, meaning: 'the database could not be read or written; nothing was lost' },
  config: { code: EXIT_CONFIG, meaning: 'the configuration cannot be used' },
} as const;

export type ExitName = keyof typeof EXIT_CODES;

/** Ends a command: the message says what went wrong, the advice what to do next. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: string;
  readonly exit: ExitName;
  readonly advice: string | undefined;

  constructor(exit: ExitName, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.exit = exit;
    this.code = `EXIT_${exit.toUpperCase()}`;
    this.advice = options.advice;
  }
}
