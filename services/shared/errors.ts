// Errors that cross rooms. A refusal that is part of a protocol is a value, not one of these.

/** Exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h). */
export const EXIT_CONFIG = 78;

/** Exit code for everything else that stops a program. */
export const EXIT_FAILURE = 1;

/** Thrown when a configuration cannot be used; carries every problem found, so that one restart mends all. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The message of anything that was thrown, followed by the messages of its causes (at most five). */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at !== undefined && at !== null && messages.length < 5; at = causeOf(at)) {
    const message = messageOf(at);
    if (!messages.some((said) => said.includes(message))) messages.push(message);
  }
  return messages.join(': ');
}

// By shape and not by class: an error may come from another realm (a worker, a test's virtual machine), and
// no field but the message is shown, because others may hold what was parsed.
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

/**
 * Waits for parts of a configuration that are read independently of each other.
 *
 * @throws ConfigError with the problems of all of them, each once; any other error as it is.
 */
export async function allConfigured<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const results = await Promise.allSettled([a, b]);
  const problems = new Set<string>();
  for (const result of results) {
    if (result.status === 'fulfilled') continue;
    if (!(result.reason instanceof ConfigError)) throw result.reason;
    for (const problem of result.reason.problems) problems.add(problem);
  }
  if (problems.size > 0) throw new ConfigError([...problems]);
  return [await a, await b];
}

/** What was thrown, as an Error: some libraries want one to pass on. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeError(thrown), { cause: thrown });
}

/** The stable `code` of a thrown error, or its name where it has none: for logs and metric labels, never free text. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'UNKNOWN';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'name' in error && typeof error.name === 'string' ? error.name : 'UNKNOWN';
}
