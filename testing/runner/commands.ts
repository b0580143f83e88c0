// Runs the programs of a test run, with a deadline, and ends everything that they started.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { ROOT } from '../groups.ts';

export interface RunCommandOptions {
  /** Added to the environment of the caller. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this time, in milliseconds, the program and all its descendants are killed. */
  readonly timeoutMs: number;
  /** Receives what the program writes to stdout and stderr; without it the output goes to the terminal. */
  readonly onOutput?: (text: string) => void;
}

/** The exit code reported for a program that cannot be started, as a shell reports it. */
const NOT_FOUND_EXIT_CODE = 127;

const running = new Set<ChildProcess>();

/** Runs a program in the root of the repository; resolves to its exit code, `undefined` when a signal ended it. */
export async function runCommand(
  program: string,
  args: readonly string[],
  { env, timeoutMs, onOutput }: RunCommandOptions,
): Promise<number | undefined> {
  const path = [join(ROOT, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
  const output = onOutput === undefined ? 'inherit' : 'pipe';
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, PATH: path, ...env },
    stdio: ['ignore', output, output],
    // A process group of its own: a Ctrl-C in the terminal reaches this program only, which then kills all.
    detached: true,
  });
  running.add(child);
  child.stdout?.setEncoding('utf8').on('data', (text: string) => onOutput?.(text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => onOutput?.(text));
  const timer = setTimeout(() => killTree(child), timeoutMs);
  try {
    return await new Promise((resolve) => {
      child.once('error', () => resolve(NOT_FOUND_EXIT_CODE));
      child.once('close', (code) => resolve(code ?? undefined));
    });
  } finally {
    clearTimeout(timer);
    running.delete(child);
  }
}

/** On Ctrl-C and SIGTERM: kills everything that was started, and exits. */
export function killAllOnInterrupt(): void {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      for (const child of running) killTree(child);
      process.exit(exitCode);
    });
}

/** Kills a program and its descendants. Those are in other process groups: tests start services as group leaders. */
function killTree({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  for (const target of [-pid, ...descendantsOf(pid)]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
}

/** Empty where `ps` is not installed. */
function descendantsOf(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const parents = [...(stdout ?? '').matchAll(/(\d+) +(\d+)/g)].map(
    ([, child, parent]) => [Number(child), Number(parent)] as const,
  );
  const found = [pid];
  // The list grows while it is walked: children, their children, and so on.
  for (const ancestor of found)
    found.push(...parents.filter(([, parent]) => parent === ancestor).map(([child]) => child));
  return found.slice(1);
}
