// Starts the process of a load, and talks to it.
import { join } from 'node:path';
import { startProgram } from '../../scripts/processes.ts';
import type { RunContext } from '../benchmark.ts';
import { swarmKeyFile } from '../server-process.ts';
import type { Load } from '../rust/load.ts';
import type { LoadOptions, LoadResult } from './load-result.ts';

/** Deadline for the preparation and for the work, in milliseconds. Longer than any run. */
const DEADLINE_MS = 240_000;

export type LoadName = 'bulk' | 'circuits' | 'reconnect' | 'reserve' | 'syncs';

const DEFAULTS = { muxer: 'yamux', devices: 1, operations: 0, concurrency: 1, bytes: 0 } as const;

/**
 * Resolves when the load is prepared: its devices are connected as far as they are not measured. The work throws when the
 * process ends before its end.
 */
export async function startLoad(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  name: LoadName,
  options: Partial<LoadOptions> & { readonly relay: string },
): Promise<Load> {
  const all: LoadOptions = { ...DEFAULTS, keyFile: swarmKeyFile(context.folder), ...options };
  const running = startProgram(`load ${name}`, join(import.meta.dirname, 'load.ts'), {
    args: [name, JSON.stringify(all)],
    hasInput: true,
  });
  context.onEnd(async () => {
    running.kill('SIGKILL');
    await running.exited;
  });
  await running.waitFor('ready', undefined, DEADLINE_MS);
  return {
    processes: [running],
    async work() {
      running.write('go');
      return (await running.waitFor('done', undefined, DEADLINE_MS)) as unknown as LoadResult;
    },
  };
}
