// The machine and the versions of what is measured.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** The commit of this repository, with `+` when files differ from it. */
  readonly commit: string;
  /** The version of the Rust compiler; empty without cargo. */
  readonly rust: string;
  /** The version of rust-libp2p in the Rust programs. */
  readonly rustLibp2p: string;
}

export const ROOT = join(import.meta.dirname, '..');

/** The output of a command, or an empty text when it does not work here. */
function outputOf(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

export function describeMachine(): Machine {
  const [processor] = cpus();
  const commit = outputOf('git', ['rev-parse', '--short', 'HEAD']);
  const isChanged = outputOf('git', ['status', '--porcelain', '--', 'services', 'package-lock.json']) !== '';
  const lock = readFileSync(join(ROOT, 'e2e/interop/rust/Cargo.lock'), 'utf8');
  return {
    processor: processor?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    commit: `${commit}${isChanged ? '+' : ''}`,
    rust: outputOf('rustc', ['--version']),
    rustLibp2p: /name = "libp2p"\nversion = "([^"]+)"/.exec(lock)?.[1] ?? '',
  };
}

/** Duration of the measurement of other programs, in milliseconds: thirty ticks of the kernel's clock on each core. */
const WINDOW_MS = 300;

/**
 * The number of cores that other programs use, measured for a moment in which the caller does nothing. Interrupts count;
 * time that a hypervisor takes does not.
 */
export async function otherCores(): Promise<number> {
  const before = busyMs();
  await sleep(WINDOW_MS);
  return (busyMs() - before) / WINDOW_MS;
}

function busyMs(): number {
  return cpus().reduce((total, { times: { user, nice, sys, irq } }) => total + user + nice + sys + irq, 0);
}
