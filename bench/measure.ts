// Measures what processes use while work is done.
import { readFileSync } from 'node:fs';
import { cpuSeconds } from '../testing/process-usage.ts';

interface Process {
  readonly pid: number;
}

/** Clock ticks per second in /proc on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  /** CPU time of the servers, in seconds. */
  readonly cpuSeconds: number;
  /** CPU time of the load, in seconds: its processes, those that ended meanwhile, and this one. */
  readonly loadCpuSeconds: number;
  /** Duration in seconds. */
  readonly seconds: number;
}

/**
 * Measures the CPU time of servers and load from the call of `work` until its promise resolves.
 *
 * @param processes the measured servers, which must run until the end, and the processes of the load, which may end
 */
export async function measure<T>(
  processes: { readonly servers: readonly Process[]; readonly load: readonly Process[] },
  work: () => Promise<T>,
): Promise<{ readonly usage: Usage; readonly result: T }> {
  const before = { servers: sum(processes.servers), load: loadSeconds(processes.load) };
  const startedMs = performance.now();
  const result = await work();
  const seconds = (performance.now() - startedMs) / 1000;
  const usage: Usage = {
    cpuSeconds: sum(processes.servers) - before.servers,
    loadCpuSeconds: loadSeconds(processes.load) - before.load,
    seconds,
  };
  return { usage, result };
}

function sum(processes: readonly Process[]): number {
  return processes.reduce((total, process) => total + cpuSeconds(process), 0);
}

/** The time of a process moves to the children of this process when it ends. */
function loadSeconds(processes: readonly Process[]): number {
  const { user, system } = process.cpuUsage();
  return processes.reduce(
    (total, child) => total + secondsIfAlive(child),
    endedChildrenSeconds() + (user + system) / 1e6,
  );
}

function secondsIfAlive(child: Process): number {
  try {
    return cpuSeconds(child);
  } catch {
    return 0;
  }
}

function endedChildrenSeconds(): number {
  if (process.platform !== 'linux') return 0;
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}
