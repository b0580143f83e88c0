// Runs a program to its end and returns its output: for the tests and for the tools that build images and drive a cluster.
import { spawn } from 'node:child_process';

/** Maximum output kept of each stream, in bytes. Earlier output is dropped. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

const DEFAULT_TIMEOUT_MS = 120_000;

/** Lines of output that the error of a failed program quotes. */
const QUOTED_LINES = 25;

/** Characters of the command line that the error of a failed program quotes. */
const QUOTED_COMMAND_CHARACTERS = 300;

/** The exit codes that a shell returns. */
const NOT_FOUND_EXIT_CODE = 127;
const SIGNAL_EXIT_CODE = 128;

export interface CommandOptions {
  /** Added to the environment of this process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. */
  readonly input?: string;
  /** The program is killed after this time, in milliseconds. Default 120,000. */
  readonly timeoutMs?: number;
  /** Shows the output on this terminal instead of returning it. Default false. */
  readonly inheritsOutput?: boolean;
}

export interface CommandResult {
  /** The exit code; 128 if a signal ended the program, 127 if it could not be started. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that could not be started or did not exit with 0. The message quotes the end of its output. */
export class ProcessFailedError extends Error {
  override readonly name = 'ProcessFailedError';
  readonly result: CommandResult;

  constructor(program: string, args: readonly string[], result: CommandResult) {
    const command = [program, ...args].join(' ').slice(0, QUOTED_COMMAND_CHARACTERS);
    const output = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-QUOTED_LINES).join('\n');
    super(`"${command}" exited with code ${result.code}. The end of its output:\n${output}`);
    this.result = result;
  }
}

/** Runs a program and returns its standard output, trimmed. @throws ProcessFailedError if the exit code is not 0 */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await attempt(program, args, options);
  if (result.code !== 0) throw new ProcessFailedError(program, args, result);
  return result.stdout.trim();
}

/** Runs a program that may fail. */
export async function attempt(
  program: string,
  args: readonly string[],
  { env, cwd, input, timeoutMs = DEFAULT_TIMEOUT_MS, inheritsOutput = false }: CommandOptions = {},
): Promise<CommandResult> {
  const outputMode = inheritsOutput ? 'inherit' : 'pipe';
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['pipe', outputMode, outputMode],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] = (output[stream] + text).slice(-MAX_OUTPUT_BYTES);
    });
  }
  // A program may exit before it has read its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: NOT_FOUND_EXIT_CODE, stdout: '', stderr: error.message }));
    child.once('close', (code) => resolve({ code: code ?? SIGNAL_EXIT_CODE, ...output }));
  });
}
