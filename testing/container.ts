// A memory limit for one process, like that of a container, with a control group of the kernel. Linux only, as root.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const VERSION_1 = { root: V1, limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' };
const VERSION_2 = { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' };

export interface Container {
  /** The command prefix that runs a program in the control group; empty without a limit. */
  readonly under: readonly string[];
  /** The environment of Node.js in the container, as in the image. */
  readonly env: Readonly<Record<string, string>>;
  /** The peak usage as text. Like the limit, it includes kernel memory for sockets. */
  peak(): string;
  /** Call it after the command has ended. */
  remove(): void;
}

/**
 * @param limitMiB the memory limit in MiB; 0 means no limit
 * @param name distinguishes several containers of one process
 */
export function createContainer(limitMiB: number, name = 'load'): Container {
  if (limitMiB === 0) return { under: [], env: {}, peak: () => 'no limit', remove: () => {} };
  const files = existsSync(V1) ? VERSION_1 : VERSION_2;
  const group = join(files.root, `rustory-${name}-${process.pid}`);
  mkdirSync(group);
  writeFileSync(join(group, files.limit), String(limitMiB * 1024 * 1024));
  return {
    under: ['sh', '-c', 'echo $$ > "$0"/cgroup.procs && exec "$@"', group],
    // By default the heap may grow to the whole limit, without space for other memory.
    env: { NODE_OPTIONS: '--max-old-space-size-percentage=50 --max-semi-space-size=2' },
    peak() {
      const bytes = Number(readFileSync(join(group, files.peak), 'utf8'));
      return `peak ${(bytes / 1024 / 1024).toFixed(0)} of ${limitMiB} MiB`;
    },
    remove: () => rmdirSync(group),
  };
}
