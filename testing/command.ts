// Runs a program to its end and answers what it printed: for the tools that build images and drive a cluster.
import { spawn } from 'node:child_process';

/** Most output kept of one command, in bytes; the end of it is kept. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** How long a command may take where the caller does not say, in milliseconds. */
const PATIENCE_MS = 120_000;

/** How much of its output a failed command tells. */
const TOLD_LINES = 25;

export interface CommandOptions {
  /** Added to the environment of the caller. */
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Written to its standard input, which is closed then. */
  readonly input?: string;
  /** When it is killed, in milliseconds. */
  readonly patienceMs?: number;
}

export interface CommandResult {
  /** The exit code; 128 where a signal ended it, 127 where it could not be started. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that failed: its message ends with what the command said last. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly result: CommandResult;

  constructor(program: string, args: readonly string[], result: CommandResult) {
    const said = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-TOLD_LINES).join('\n');
    super(`«${[program, ...args].join(' ').slice(0, 300)}» ended with ${result.code}:\n${said}`);
    this.result = result;
  }
}

/** Standard output of a command, without the white space around it. @throws CommandError when it does not end with 0 */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await attempt(program, args, options);
  if (result.code !== 0) throw new CommandError(program, args, result);
  return result.stdout.trim();
}

/** Runs a command that may fail. */
export async function attempt(
  program: string,
  args: readonly string[],
  { env, cwd, input, patienceMs = PATIENCE_MS }: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    timeout: patienceMs,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] = (output[stream] + text).slice(-MAX_OUTPUT_BYTES);
    });
  }
  // A command may end without having read its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 127, stdout: '', stderr: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 128, ...output }));
  });
}
