// Runs the services as processes: for the demo, `npm start` and the end-to-end tests.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { WAIT_TIMEOUT_MS } from './deadlines.ts';

const ROOT = join(import.meta.dirname, '..');

/** Maximum lines of output kept per process and stream; older lines are dropped. */
const MAX_LINES = 5_000;

/** The exit code that a shell reports for a program that does not exist. */
const NOT_FOUND_EXIT_CODE = 127;

/** A line that a service logged. */
export type LogLine = Record<string, unknown> & { readonly msg: string };

export interface RunOptions {
  /** The environment, besides the PATH of the caller. Nothing else of the caller's environment is passed on. */
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  /** The working directory. Default: the root of this repository. */
  readonly cwd?: string;
  /** A command that runs the command that follows it, such as `ip netns exec NAME`. */
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
  /** Resolves to the first log line with this message, past or future. @throws when the process ends or the time expires */
  waitFor(msg: string, matches?: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>;
  /** Sends SIGTERM, and SIGKILL when the process is still there at the deadline. */
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

/** Starts a program with the same Node. */
export function startProgram(name: string, entry: string, options: RunOptions = {}): Running {
  return startCommand(name, [process.execPath, entry], options);
}

/**
 * Starts a program by its path and first arguments. It gets a process group of its own, so that a Ctrl-C in the terminal
 * reaches only its parent.
 */
export function startCommand(
  name: string,
  first: readonly [string, ...string[]],
  options: RunOptions = {},
): Running {
  const { env = {}, args = [], cwd = ROOT, under = [], hasInput = false, onLine } = options;
  const [command = '', ...rest] = [...under, ...first, ...args];
  const child = spawn(command, rest, {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    detached: true,
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
  const lines = { stdout: [] as string[], stderr: [] as string[] };
  const logs: LogLine[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  let ended: number | NodeJS.Signals | undefined;
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => {
      ended = code ?? signal ?? 'SIGKILL';
      wake();
      resolve(ended);
    });
    child.once('error', (error) => {
      ended = NOT_FOUND_EXIT_CODE;
      lines.stderr.push(error.message);
      wake();
      resolve(ended);
    });
  });
  for (const stream of ['stdout', 'stderr'] as const) {
    createInterface({ input: child[stream] }).on('line', (line) => {
      if (lines[stream].push(line) > MAX_LINES) lines[stream].shift();
      const log = parseLog(line);
      if (log !== undefined && logs.push(log) > MAX_LINES) logs.shift();
      onLine?.(line, stream);
      wake();
    });
  }

  return {
    name,
    pid: child.pid ?? -1,
    exited,
    stdout: () => lines.stdout.join('\n'),
    stderr: () => lines.stderr.join('\n'),
    logged: (msg) => logs.filter((line) => line.msg === msg),
    async waitFor(msg, matches = () => true, timeoutMs = WAIT_TIMEOUT_MS) {
      const found = Promise.withResolvers<LogLine>();
      const fail = (reason: string): void =>
        found.reject(new Error(`${reason}\n${lines.stderr.slice(-20).join('\n')}`));
      const timer = setTimeout(() => fail(`${name} did not log "${msg}" within ${timeoutMs} ms.`), timeoutMs);
      const look = (): void => {
        const line = logs.find((candidate) => candidate.msg === msg && matches(candidate));
        if (line !== undefined) found.resolve(line);
        else if (ended !== undefined) fail(`${name} ended with ${ended} and did not log "${msg}".`);
      };
      waiting.add(look);
      look();
      try {
        return await found.promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(look);
      }
    },
    async stop() {
      if (ended === undefined) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), WAIT_TIMEOUT_MS);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
    kill: (signal) => void child.kill(signal),
    write: (line) => void child.stdin?.write(`${line}\n`),
  };
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
