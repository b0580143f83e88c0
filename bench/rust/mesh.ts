// A fleet of devices of `rr` 1.x with one user, all rounds starting in the same second.
import { readFileSync } from 'node:fs';
import { startMesh } from '../../e2e/interop/mesh-run.ts';
import { RR_PROGRAMS } from '../../e2e/interop/rr-programs.ts';
import type { RunContext } from '../benchmark.ts';
import { swarmKeyFile } from '../server-process.ts';
import { quantile } from '../statistics.ts';
import type { Load } from './load.ts';

export interface FleetOptions {
  readonly relay: { readonly pid: number; readonly address: string };
  readonly tracker: { readonly pid: number; readonly url: string };
  /** `both`: yamux, then mplex, as 1.1.0. Default: `yamux`, as 1.1.1. */
  readonly muxer?: 'yamux' | 'mplex' | 'both';
  readonly devices: number;
  readonly rounds: number;
  /** Time between the starts of two rounds. Longer than a round, or it fails. Default: that of `rr`, 60. */
  readonly intervalSeconds?: number;
  /** Circuits that failed and that the devices repeated within the round: an error, or only a figure. Default: an error. */
  readonly repeatedCircuits?: 'error' | 'figure';
}

/**
 * Starts the devices; when this resolves, each has synced with every other. The work is `rounds` rounds of each device, in
 * which there is nothing to transfer. An operation is a sync. The figures are `roundP50Ms`, `roundP95Ms`, `relayCpuMsPerSync`,
 * `peakRssMiB` of the relay, and `failedCircuits`, including those that a retry hid.
 */
export async function prepareFleet(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  options: FleetOptions,
): Promise<Load> {
  const { muxer = 'yamux', intervalSeconds = 60, repeatedCircuits = 'error' } = options;
  const { devices, rounds, relay, tracker } = options;
  const program = RR_PROGRAMS.find((known) => known.generation === '1.x' && known.muxer === muxer);
  if (program === undefined) throw new Error(`There is no rr 1.x with the muxer "${muxer}".`);
  const mesh = await startMesh({
    program,
    folder: context.folder,
    swarmKey: swarmKeyFile(context.folder),
    relay,
    tracker,
    devices,
    intervalSeconds,
    entries: 0,
    onStart: (running) =>
      context.onEnd(async () => {
        running.kill('SIGKILL');
        await running.exited;
      }),
  });
  return {
    processes: mesh.daemons.flatMap(({ pid }) => [{ pid }, ...childrenOf(pid)]),
    async work() {
      const result = await mesh.run(rounds);
      const expected = devices * (devices - 1) * rounds;
      const errors = [
        ...[...(repeatedCircuits === 'error' ? result.reasons : [])].map(
          ([reason, count]) => `${count} × ${reason}.`,
        ),
        ...(result.failedRounds === 0 ? [] : [`${result.failedRounds} of ${result.rounds} rounds failed.`]),
        ...(result.transferred === 0 ? [] : [`The syncs transferred ${result.transferred} entries.`]),
        ...(result.syncs === expected ? [] : [`There were ${result.syncs} syncs instead of ${expected}.`]),
        ...((result.roundsMs.at(-1) ?? 0) < intervalSeconds * 1000
          ? []
          : [`A round took longer than the ${intervalSeconds} s between two rounds.`]),
      ];
      return {
        operations: result.syncs,
        latenciesMs: result.syncsMs,
        figures: {
          roundP50Ms: quantile(result.roundsMs, 0.5),
          roundP95Ms: quantile(result.roundsMs, 0.95),
          relayCpuMsPerSync: result.relayCpuMsPerSync,
          peakRssMiB: result.relayMiB,
          failedCircuits: result.failedCircuits,
        },
        errors,
      };
    },
  };
}

/** The processes that a daemon has started; none on systems without /proc. */
function childrenOf(pid: number): Array<{ readonly pid: number }> {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children.split(' ').map((child) => ({ pid: Number(child) }));
  } catch {
    return [];
  }
}
