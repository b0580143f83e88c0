// What a service says of itself: `--help`, `--version`, and what to do about any other argument.
import manifest from '../../package.json' with { type: 'json' };
import { EXIT_CONFIG } from './errors.ts';
import type { Variable } from './env.ts';

/** The version of this build. */
export const VERSION: string = manifest.version;

/**
 * The answer to a service's command line: text and exit code, or `undefined` when there are no arguments and the
 * service is to start. Services are configured by their environment alone.
 */
export function answerArguments(
  program: string,
  purpose: string,
  variables: Record<string, Variable<unknown>>,
  args: readonly string[],
): { readonly text: string; readonly exitCode: number } | undefined {
  const [first] = args;
  if (first === undefined) return undefined;
  if (first === '--version') return { text: `${program} ${VERSION}\n`, exitCode: 0 };
  if (first === '--help') return { text: usage(program, purpose, variables), exitCode: 0 };
  const text = `${program}: «${first.slice(0, 100)}» is not understood; it takes no arguments but --help and --version\n`;
  return { text, exitCode: EXIT_CONFIG };
}

/** Prints the answer to the command line and ends the process, when there is one. */
export function exitIfAsked(...asked: Parameters<typeof answerArguments>): void {
  const answer = answerArguments(...asked);
  if (answer === undefined) return;
  (answer.exitCode === 0 ? process.stdout : process.stderr).write(answer.text);
  process.exit(answer.exitCode);
}

function usage(program: string, purpose: string, variables: Record<string, Variable<unknown>>): string {
  const lines = Object.entries(variables).map(
    ([name, { fallback, doc }]) =>
      `  ${name}${fallback === undefined || fallback === '' ? '' : `=${fallback}`}\n      ${doc}\n`,
  );
  return `${program}: ${purpose}\n\nIt is configured by environment variables, here with their defaults:\n\n${lines.join('')}`;
}
