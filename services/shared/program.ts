// The command line of a service (`--help`, `--version`, unknown arguments), and how a program ends with an error.
import manifest from '../../package.json' with { type: 'json' };
import { toPrintable } from './printable.ts';
import { ConfigError, describeError, EXIT_CONFIG, EXIT_FAILURE } from './errors.ts';
import { quote, type Variable } from './variables.ts';

/** The version of this build. */
export const VERSION: string = manifest.version;

/** The description of a service in its help. */
export interface Program {
  /** Such as `rustory-relay`. */
  readonly name: string;
  /** The purpose of the service; follows the name in `--help`. */
  readonly purpose: string;
  readonly variables: Record<string, Variable<unknown>>;
}

/**
 * Handles the command line of a service: returns the text to print and the exit code, or `undefined` when there are no
 * arguments and the service should start. Services are configured only by their environment.
 */
export function answerArguments(
  program: Program,
  args: readonly string[],
): { readonly text: string; readonly exitCode: number } | undefined {
  const [first] = args;
  if (first === undefined) return undefined;
  if (first === '--version') return { text: `${program.name} ${VERSION}\n`, exitCode: 0 };
  if (first === '--help' || first === '-h') return { text: formatHelp(program), exitCode: 0 };
  const text = `${program.name}: unknown argument ${quote(first)}. Use --help or --version, or no argument to start.\n`;
  return { text, exitCode: EXIT_CONFIG };
}

/** Exits after printing the answer if the command line has arguments; otherwise returns. */
export function exitIfAnswered(program: Program, args: readonly string[]): void {
  const answer = answerArguments(program, args);
  if (answer === undefined) return;
  (answer.exitCode === 0 ? process.stdout : process.stderr).write(answer.text);
  process.exit(answer.exitCode);
}

/**
 * Prints the error that ends a program and exits with code 78 for a configuration that cannot be used, otherwise with
 * 1. The output is plain text instead of JSON, because it is for the user who started the program.
 */
export function exitWithError(name: string, error: unknown): never {
  if (error instanceof ConfigError) {
    process.stderr.write(`${name}: the configuration cannot be used:\n`);
    for (const problem of error.problems) process.stderr.write(`  - ${toPrintable(problem)}\n`);
    process.exit(EXIT_CONFIG);
  }
  process.stderr.write(`${name}: ${toPrintable(describeError(error))}.\n`);
  process.exit(EXIT_FAILURE);
}

function formatHelp({ name, purpose, variables }: Program): string {
  const lines = Object.entries(variables).map(
    ([variable, { fallback, doc }]) =>
      `  ${variable}${fallback === undefined || fallback === '' ? '' : `=${fallback}`}\n      ${doc}\n`,
  );
  return `${name}: ${purpose}\n\nConfiguration is by environment variables, shown with their defaults:\n\n${lines.join('')}`;
}
