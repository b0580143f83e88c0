// Runs our services as what they are: processes. Used by the demo, by `npm start` and by the end-to-end tests.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const ROOT = join(import.meta.dirname, '..');

/** How long a process may take to say what is awaited of it, in milliseconds. */
const PATIENCE_MS = 20_000;

/** How long a process may take to stop after SIGTERM before it is killed, in milliseconds. */
const STOP_MS = 20_000;

/** Lines of output kept of one process: enough to tell why it failed. */
const MAX_LINES = 5_000;

/** What a shell answers for a program that is not there. */
const NOT_FOUND_EXIT_CODE = 127;

/** One line that a service logged. */
export type LogLine = Record<string, unknown> & { readonly msg: string };

export interface RunOptions {
  /** Added to a bare environment; nothing of the caller's but PATH is passed on. */
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  /** Where the program runs; the root of this repository by default. */
  readonly cwd?: string;
  /** A command that runs the one that follows it, such as `ip netns exec NAME`. */
  readonly under?: readonly string[];
  /** Whether the program reads lines that `write` hands it; otherwise it has no standard input. */
  readonly hasInput?: boolean;
  /** Told every line as it comes. */
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
  /** Resolves to the log line with this message, past or future. @throws when the process ends or time is up. */
  waitFor(msg: string, matches?: (line: LogLine) => boolean, patienceMs?: number): Promise<LogLine>;
  /** SIGTERM, and SIGKILL when that is not enough. */
  stop(): Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** Hands a program that has input one line. */
  write(line: string): void;
}

export type ServiceName = 'tracker' | 'relay' | 'peer';

/** Starts `services/NAME/main.ts`. */
export function startService(name: ServiceName, options: RunOptions = {}): Running {
  return startProgram(name, join(ROOT, `services/${name}/main.ts`), options);
}

/** Starts a program on the Node that runs this. */
export function startProgram(name: string, entry: string, options: RunOptions = {}): Running {
  return startCommand(name, [process.execPath, entry], options);
}

/**
 * Starts a program by its path and first arguments. It leads a process group of its own, so that a Ctrl-C in a terminal
 * reaches it through its parent only.
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
    // A program that cannot be started ends as a shell would have it.
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
    async waitFor(msg, matches = () => true, patienceMs = PATIENCE_MS) {
      const found = Promise.withResolvers<LogLine>();
      const complain = (what: string): void =>
        found.reject(new Error(`${name} ${what} before «${msg}»:\n${lines.stderr.slice(-20).join('\n')}`));
      const timer = setTimeout(() => complain(`took ${patienceMs} ms`), patienceMs);
      const look = (): void => {
        const line = logs.find((candidate) => candidate.msg === msg && matches(candidate));
        if (line !== undefined) found.resolve(line);
        else if (ended !== undefined) complain(`ended with ${ended}`);
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
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
    kill: (signal) => void child.kill(signal),
    write: (line) => void child.stdin?.write(`${line}\n`),
  };
}

/** What a program that ran to its end left. */
export interface Finished {
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for the end of a program. */
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
    // Not every line that begins with a brace is a log line.
  }
  return undefined;
}
