// Errors that cross modules, and how an error becomes text. An expected refusal is a value (`result.ts`), not an error.

/** Exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h). */
export const EXIT_CONFIG = 78;

/** Exit code for everything else that ends a program. */
export const EXIT_FAILURE = 1;

/** Maximum errors of one chain of causes that are described; the others are left out. */
const MAX_CHAIN = 5;

/** A configuration that cannot be used. It carries every problem found, so that one restart can fix all of them. */
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
 * The message of anything that was thrown, followed by the messages of its causes (five in all), without the period
 * at the end. A cause whose message is already part of an earlier one is left out.
 */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  let next = error;
  // Counted by causes and not by messages: an error can be its own cause.
  for (let depth = 0; next !== undefined && next !== null && depth < MAX_CHAIN; depth += 1) {
    const message = messageOf(next).replace(/\.$/, '');
    if (!messages.some((earlier) => earlier.includes(message))) messages.push(message);
    next = causeOf(next);
  }
  return messages.join(': ');
}

// By shape and not by class: an error may come from another realm (a worker, a virtual machine of a test), and no
// field but the message is shown, because others may hold the text that was parsed.
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

/** The thrown value as an Error: some libraries require one to pass on. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeError(thrown), { cause: thrown });
}

/** The stable `code` of a thrown error, or its name where it has none: for logs and metric labels, never free text. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'UNKNOWN';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'name' in error && typeof error.name === 'string' ? error.name : 'UNKNOWN';
}
