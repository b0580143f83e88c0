// The memory limit of a container, put on one process by the kernel's own means; needs root.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const VERSION_1 = { root: V1, limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' };
const VERSION_2 = { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' };

export interface Container {
  /** What starts a program inside; nothing where there is no limit. */
  readonly under: readonly string[];
  /** How Node runs inside, as it does in the image. */
  readonly env: Readonly<Record<string, string>>;
  /** The most it has used, for a sentence: with the memory of the kernel for its sockets, as the limit counts it. */
  peak(): string;
  /** To be called when the program has ended. */
  remove(): void;
}

/** @param limitMiB 0 is no limit. */
export function createContainer(limitMiB: number): Container {
  if (limitMiB === 0) return { under: [], env: {}, peak: () => 'no limit', remove: () => {} };
  const files = existsSync(V1) ? VERSION_1 : VERSION_2;
  const group = join(files.root, `rustory-load-${process.pid}`);
  mkdirSync(group);
  writeFileSync(join(group, files.limit), String(limitMiB * 1024 * 1024));
  return {
    under: ['sh', '-c', 'echo $$ > "$0"/cgroup.procs && exec "$@"', group],
    // Left to itself Node lets its heap grow to the limit, as if nothing else took memory.
    env: { NODE_OPTIONS: '--max-old-space-size-percentage=50' },
    peak() {
      const bytes = Number(readFileSync(join(group, files.peak), 'utf8'));
      return `${(bytes / 1024 / 1024).toFixed(0)} of ${limitMiB} MiB at most`;
    },
    remove: () => rmdirSync(group),
  };
}
