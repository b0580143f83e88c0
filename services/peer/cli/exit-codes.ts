// The exit codes of `rustory-peer`, which scripts depend on, and the mapping of errors to exit codes.
import { errorCode, EXIT_CONFIG, EXIT_FAILURE } from '../../shared/errors.ts';

/** Every exit code with its meaning; `rustory-peer --help` and `docs/peer.md` have this table. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'success' },
  failure: { code: EXIT_FAILURE, meaning: 'another failure; the message describes it' },
  usage: { code: 2, meaning: 'the command line is invalid' },
  unreachable: { code: 3, meaning: 'no peer was found or synced; network-test: no relay works' },
  partial: {
    code: 4,
    meaning: 'some peers failed or were not synced completely; network-test: some relays or hubs failed',
  },
  database: {
    code: 5,
    meaning:
      'the database cannot be read or written, or was replaced, or has a new identity; nothing was lost',
  },
  config: { code: EXIT_CONFIG, meaning: 'the configuration cannot be used' },
} as const;

export type ExitName = keyof typeof EXIT_CODES;

/** Exit codes of a command that a signal ended: 128 plus the number of the signal. A service exits with 0 instead. */
export const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Exits by the `code` of errors from other modules. Errors with other codes are failures. */
const EXITS_BY_ERROR_CODE: Readonly<Record<string, ExitName>> = {
  CONFIG_INVALID: 'config',
  DATABASE_UNUSABLE: 'database',
  // The reader of the output closed the pipe, as `head` does: not an error.
  EPIPE: 'ok',
};

/** Ends a command. The message describes the problem and the advice the solution, both in whole sentences. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code = 'COMMAND_FAILED';
  readonly exit: ExitName;
  readonly advice: string | undefined;

  constructor(exit: ExitName, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.exit = exit;
    this.advice = options.advice;
  }
}

/** The exit of the program after a thrown error. */
export function exitOf(error: unknown): ExitName {
  return error instanceof CommandError ? error.exit : (EXITS_BY_ERROR_CODE[errorCode(error)] ?? 'failure');
}

/** The advice of an error; `undefined` when it has none. */
export function adviceOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('advice' in error)) return undefined;
  return typeof error.advice === 'string' ? error.advice : undefined;
}
