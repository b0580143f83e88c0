// The tracker as its users run it: a process of its own, found by the lines it logs.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { until } from './wait.ts';

export interface TrackerProcess {
  /** Base URL of the API, such as `http://127.0.0.1:40001`. */
  readonly url: string;
  /** Base URL of the ops port. */
  readonly opsUrl: string;
  readonly child: ChildProcess;
  /** What it wrote to standard output and standard error, at most the last 100,000 characters. */
  output(): string;
  /** Sends a signal and resolves to the exit code once the process ended; `null` when the signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

const MAIN = resolve('services/tracker/main.ts');

/** Runs `main.ts` with just these variables, until it exits. */
export async function runTracker(
  environment: Record<string, string>,
  args: readonly string[] = [],
): Promise<{ exitCode: number | null; output: string }> {
  const { child, output } = launch(environment, args);
  const [exitCode] = await once(child, 'exit');
  return { exitCode, output: output() };
}

/** Starts `main.ts` on free loopback ports and resolves when it listens. */
export async function startTracker(environment: Record<string, string> = {}): Promise<TrackerProcess> {
  const { child, output } = launch({
    TRACKER_LISTEN: '127.0.0.1:0',
    TRACKER_OPS_LISTEN: '127.0.0.1:0',
    ...environment,
  });
  const address = (message: string): string | undefined =>
    new RegExp(`"address":"([^"]+)","msg":"${message}"`).exec(output())?.[1];
  await until(() => child.exitCode !== null || address('listening') !== undefined, 'the tracker listens');
  if (child.exitCode !== null) throw new Error(`the tracker ended: ${output()}`);
  return {
    url: `http://${address('listening')}`,
    opsUrl: `http://${address('ops listening')}`,
    child,
    output,
    async end(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      await once(child, 'exit');
      return child.exitCode;
    },
  };
}

function launch(environment: Record<string, string>, args: readonly string[] = []) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const collect = (data: Buffer): void => void (text = `${text}${data.toString()}`.slice(-100_000));
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return { child, output: () => text };
}
