// Empty syncs, as `rr p2p-sync` makes them with every device every minute: connect to the relay, identify, circuit, pull
// nothing, leave.
import { finished } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import type { RunContext } from '../benchmark.ts';
import { createStarter, type Load, reasonIn, reservedPeer, type RustLoadOptions, type Work } from './load.ts';

export interface EmptySyncOptions extends RustLoadOptions {
  readonly count: number;
  /** Syncs at the same time. A device of `rr` makes four. */
  readonly parallel: number;
  /** Devices that are pulled from, in turn. */
  readonly targets: number;
}

/** Syncs of one identity, so that no relay counts one device as too many: `rr` with this number of peers is usual. */
const SYNCS_PER_DEVICE = 30;

/** Reserves the targets. The work is one process that makes all syncs, each with connections of its own. */
export async function prepareEmptySyncs(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  options: EmptySyncOptions,
): Promise<Load> {
  const { count, parallel, targets } = options;
  const start = createStarter(context, options);
  let answers = 0;
  const serving = Array.from({ length: targets }, () =>
    start(['serve'], (line) => {
      if (line.includes('"msg":"served"') && line.includes('"entries":0')) answers += 1;
    }),
  );
  const peers = await Promise.all(serving.map(reservedPeer));
  const devices = Math.ceil(count / SYNCS_PER_DEVICE);
  const args = Object.entries({ peers: peers.join(','), count, parallel, devices });
  return {
    processes: serving,
    async work() {
      const syncing = start(['sync', ...args.flatMap(([name, value]) => [`--${name}`, String(value)])]);
      const { stderr } = await finished(syncing);
      const [synced] = syncing.logged('synced');
      if (synced === undefined) return failed(`The syncs failed: ${reasonIn(stderr)}`);
      const latenciesMs = (synced['us'] as number[]).map((microseconds) => microseconds / 1000);
      // The last lines of the targets may still be in the pipe.
      await until(() => answers >= count, 'the targets have answered all syncs').catch(() => undefined);
      const isRight = latenciesMs.length === count && answers === count;
      const errors = isRight
        ? []
        : [`There were ${latenciesMs.length} syncs and ${answers} answers of targets instead of ${count}.`];
      return { operations: latenciesMs.length, latenciesMs, errors };
    },
  };
}

function failed(error: string): Work {
  return { operations: 0, errors: [error] };
}
