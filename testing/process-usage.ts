// Memory and CPU usage of a process: from /proc on Linux, from `ps` on other systems.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

interface Process {
  readonly pid: number;
}

/** Clock ticks per second in /proc on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Resident memory in MiB. @throws Error when the process has ended */
export function residentMiB({ pid }: Process): number {
  if (process.platform !== 'linux') return Number(ps(pid, 'rss')) / 1024;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** The highest resident memory since the start, in MiB; on other systems that of now. @throws Error when the process has ended */
export function peakResidentMiB({ pid }: Process): number {
  if (process.platform !== 'linux') return residentMiB({ pid });
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** CPU time in seconds, of user and system together. @throws Error when the process has ended */
export function cpuSeconds({ pid }: Process): number {
  if (process.platform !== 'linux')
    // For example 1:02:03.45.
    return ps(pid, 'time')
      .split(/[:-]/)
      .reduce((seconds, field) => seconds * 60 + Number(field), 0);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function ps(pid: number, column: 'rss' | 'time'): string {
  const { status, stdout } = spawnSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`Process ${pid} has ended.`);
  return stdout.trim();
}
