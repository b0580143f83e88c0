// Runs the services as processes: for the demo, `npm start` and the end-to-end tests.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { WAIT_TIMEOUT_MS } from './deadlines.ts';

const ROOT = join(import.meta.dirname, '..');

/** Where Node.js keeps the compiled modules. With it a process needs half of the CPU time to start. */
const COMPILE_CACHE = join(ROOT, 'node_modules/.cache/compiled');

/** In tests the processes that they start overwrite received bytes too. */
const POISON_READS = 'RUSTORY_POISON_READS';

/** Maximum lines of output that are kept per process and stream. Older lines are dropped. */
const MAX_LINES = 5_000;

/** The exit code that a shell reports for a program that does not exist. */
const NOT_FOUND_EXIT_CODE = 127;

/** A line that a service logged. */
export type LogLine = Record<string, unknown> & { readonly msg: string };

export interface RunOptions {
  /**
   * The environment in addition to the PATH of the caller, and to its RUSTORY_POISON_READS if that is set. No other variables
   * of the caller are inherited.
   */
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  /** The working directory. Default: the root of this repository. */
  readonly cwd?: string;
  /** A prefix of the command that runs the program in another context, such as `ip netns exec NAME`. */
  readonly under?: readonly string[];
  /** Whether the program has a standard input, for `write`. Default false. */
  readonly hasInput?: boolean;
  /** Called for each line of output. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
}

export interface Running {
  readonly name: string;
  readonly pid: number;
  /** Resolves to the exit code, or to the signal that ended the process. */
  readonly exited: Promise<number | NodeJS.Signals>;
  stdout(): string;
  stderr(): string;
  /** The log lines with this message so far. */
  logged(msg: string): LogLine[];
  /**
   * Resolves to the first log line with this message, past or future. @throws when the process ends or the time expires
   */
  waitFor(msg: string, matches?: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>;
  /** Sends SIGTERM, and SIGKILL when the process has not ended at the deadline. */
  stop(): Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** Writes one line to the standard input; requires `hasInput`. */
  write(line: string): void;
}

export type ServiceName = 'tracker' | 'relay' | 'peer';

/** Starts `services/NAME/main.ts`. */
export function startService(name: ServiceName, options: RunOptions = {}): Running {
  return startProgram(name, join(ROOT, `services/${name}/main.ts`), options);
}

/** Starts a program with the Node.js binary of this process. */
export function startProgram(name: string, entry: string, options: RunOptions = {}): Running {
  return startCommand(name, [process.execPath, entry], options);
}

/**
 * Starts a program by its path and first arguments. It has its own process group, so that a Ctrl-C in the terminal only
 * reaches its parent.
 */
export function startCommand(
  name: string,
  first: readonly [string, ...string[]],
  options: RunOptions = {},
): Running {
  const child = spawnChild(first, options);
  const output = collectOutput(child, options.onLine);
  const exited = watchExit(child, output);
  return {
    name,
    pid: child.pid ?? -1,
    exited,
    stdout: () => output.lines.stdout.join('\n'),
    stderr: () => output.lines.stderr.join('\n'),
    logged: (msg) => output.logs.filter((line) => line.msg === msg),
    waitFor: async (msg, matches = () => true, timeoutMs = WAIT_TIMEOUT_MS) =>
      waitForLog(name, output, msg, matches, timeoutMs),
    async stop() {
      if (output.exit === undefined) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), WAIT_TIMEOUT_MS);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
    kill: (signal) => void child.kill(signal),
    write: (line) => void child.stdin?.write(`${line}\n`),
  };
}

type Child = ChildProcessByStdio<Writable | null, Readable, Readable>;

/** The output of a process so far. */
interface Output {
  readonly lines: { readonly stdout: string[]; readonly stderr: string[] };
  readonly logs: LogLine[];
  /** Called after each line, and after the end of the process. */
  readonly listeners: Set<() => void>;
  /** The exit code or the signal; `undefined` while the process runs. */
  exit: number | NodeJS.Signals | undefined;
}

function spawnChild(first: readonly string[], options: RunOptions): Child {
  const { env = {}, args = [], cwd = ROOT, under = [], hasInput = false } = options;
  const [command = '', ...rest] = [...under, ...first, ...args];
  const poisonReads = process.env[POISON_READS];
  return spawn(command, rest, {
    cwd,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      ...(poisonReads === undefined ? {} : { [POISON_READS]: poisonReads }),
      ...env,
    },
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    detached: true,
  }) as Child;
}

function collectOutput(child: Child, onLine: RunOptions['onLine']): Output {
  const output: Output = {
    lines: { stdout: [], stderr: [] },
    logs: [],
    listeners: new Set(),
    exit: undefined,
  };
  for (const stream of ['stdout', 'stderr'] as const) {
    const lines = output.lines[stream];
    createInterface({ input: child[stream] }).on('line', (line) => {
      if (lines.push(line) > MAX_LINES) lines.shift();
      const log = parseLog(line);
      if (log !== undefined && output.logs.push(log) > MAX_LINES) output.logs.shift();
      onLine?.(line, stream);
      for (const listener of output.listeners) listener();
    });
  }
  return output;
}

async function watchExit(child: Child, output: Output): Promise<number | NodeJS.Signals> {
  return new Promise((resolve) => {
    function end(exit: number | NodeJS.Signals): void {
      output.exit = exit;
      for (const listener of output.listeners) listener();
      resolve(exit);
    }
    child.once('close', (code, signal) => end(code ?? signal ?? 'SIGKILL'));
    child.once('error', (error) => {
      output.lines.stderr.push(error.message);
      end(NOT_FOUND_EXIT_CODE);
    });
  });
}

async function waitForLog(
  name: string,
  output: Output,
  msg: string,
  matches: (line: LogLine) => boolean,
  timeoutMs: number,
): Promise<LogLine> {
  const found = Promise.withResolvers<LogLine>();
  const fail = (reason: string): void =>
    found.reject(new Error(`${reason}\n${output.lines.stderr.slice(-20).join('\n')}`));
  const timer = setTimeout(() => fail(`${name} did not log "${msg}" within ${timeoutMs} ms.`), timeoutMs);
  const look = (): void => {
    const line = output.logs.find((candidate) => candidate.msg === msg && matches(candidate));
    if (line !== undefined) found.resolve(line);
    else if (output.exit !== undefined) fail(`${name} ended with ${output.exit} and did not log "${msg}".`);
  };
  output.listeners.add(look);
  look();
  try {
    return await found.promise;
  } finally {
    clearTimeout(timer);
    output.listeners.delete(look);
  }
}

/** The result of a program that has ended. */
export interface Finished {
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits until a program has ended. */
export async function finished(running: Running): Promise<Finished> {
  const code = await running.exited;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

function parseLog(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed === 'object' && parsed !== null && 'msg' in parsed) return parsed as LogLine;
  } catch {
    // A line that starts with a brace is not always a log line.
  }
  return undefined;
}
