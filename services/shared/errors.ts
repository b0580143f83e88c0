// Errors that several modules use, and their descriptions. An expected refusal is a value (`result.ts`), not an error.

/** Exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h). */
export const EXIT_CONFIG = 78;

/** Exit code for all other errors that end a program. */
export const EXIT_FAILURE = 1;

/** Maximum errors of a chain of causes in one description. Further causes are omitted. */
const MAX_CHAIN = 5;

/** A configuration that cannot be used. It contains all problems, so that the user can fix them together. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
  /** Whole sentences, each naming the setting it is about. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/**
 * The message of a thrown value, followed by the messages of its causes (five messages in total), without the period at
 * the end. A cause whose message is part of an earlier message is omitted.
 */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  let next = error;
  // Counts causes and not messages, because an error can be its own cause.
  for (let depth = 0; next !== undefined && next !== null && depth < MAX_CHAIN; depth += 1) {
    const message = messageOf(next).replace(/\.$/, '');
    if (!messages.some((earlier) => earlier.includes(message))) messages.push(message);
    next = causeOf(next);
  }
  return messages.join(': ');
}

// Tests the shape and not the class, because an error may come from another realm (a worker, the `vm` context of a
// test). Shows only the message, because other fields may contain the text that was parsed.
function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  if ('message' in thrown && typeof thrown.message === 'string' && thrown.message !== '')
    return thrown.message;
  return 'name' in thrown && typeof thrown.name === 'string' ? thrown.name : 'unknown error';
}

function causeOf(thrown: unknown): unknown {
  return typeof thrown === 'object' && thrown !== null && 'cause' in thrown ? thrown.cause : undefined;
}

/** Converts a thrown value to an Error, for libraries that require one. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeError(thrown), { cause: thrown });
}

/** The `code` of a thrown error, or its name if it has no code. For logs and metric labels: never free text. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'UNKNOWN';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'name' in error && typeof error.name === 'string' ? error.name : 'UNKNOWN';
}
