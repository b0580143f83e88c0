// Runs the tracker as a process and reads its addresses from its log.
import { finished, type Running, startService } from '../scripts/processes.ts';

export interface TrackerProcess extends Running {
  /** Base URL of the API, such as `http://127.0.0.1:40001`. */
  readonly url: string;
  /** Base URL of the ops port. */
  readonly opsUrl: string;
  /** Standard output and standard error. */
  output(): string;
  /** Sends a signal and returns the exit code, or the signal that ended the process. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/** Runs the tracker with only these variables until it exits. */
export async function runTracker(
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<{ exitCode: number | NodeJS.Signals; output: string }> {
  const { code, stdout, stderr } = await finished(startService('tracker', { env, args }));
  return { exitCode: code, output: `${stdout}\n${stderr}`.trim() };
}

/** Starts the tracker on free loopback ports and waits until it listens. */
export async function startTracker(env: Record<string, string> = {}): Promise<TrackerProcess> {
  const tracker = startService('tracker', {
    env: { TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0', ...env },
  });
  const [api, ops] = await Promise.all([tracker.waitFor('listening'), tracker.waitFor('ops listening')]);
  return {
    ...tracker,
    url: `http://${String(api['address'])}`,
    opsUrl: `http://${String(ops['address'])}`,
    output: () => `${tracker.stdout()}\n${tracker.stderr()}`,
    async end(signal) {
      tracker.kill(signal);
      return tracker.exited;
    },
  };
}
