// A new device pulls a whole history.
import { join } from 'node:path';
import { deviceEnvironment, difference } from '../../scripts/local-network.ts';
import { finished, type Running } from '../../scripts/processes.ts';
import { openDatabase } from '../../services/peer/history/database.ts';
import { createStore } from '../../services/peer/history/store.ts';
import { makeEntries } from '../../testing/network.ts';
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { firstUnavailable, unavailableRust } from '../rust/programs.ts';
import { preparePull } from '../rust/pull.ts';
import { startBundle, startTrackerBundle } from '../server-process.ts';
import { cpuPerOperation, latency, RSS } from './columns.ts';
import { BEFORE, OURS, RUST, RUST_DEFAULTS, relayRuns, sampleOf } from './relays.ts';

const ENTRIES = 100_000;

/** Pulls of the Rust devices in each run, by a new device each: a single one is mostly the work of the relay's compilers. */
const PULLS = 6;

/** Enough to see in the warm-up that it works. */
const WARM_UP_ENTRIES = 2_000;

const RUST_CASE = 'Rust devices';

function entriesOf({ round }: RunContext): number {
  return round === 0 ? WARM_UP_ENTRIES : ENTRIES;
}

/** Our peer at both ends: from the start of `sync` until it has ended. The databases must then be equal. */
async function measurePeers(context: RunContext): Promise<Sample> {
  const { folder } = context;
  const relay = await OURS.start(context, { limits: 'default' });
  const tracker = await startTrackerBundle('ours', context);
  const environment = (name: string): Record<string, string> => ({
    ...deviceEnvironment(folder, name, { tracker, relay }),
    RUSTORY_LISTEN: 'none',
  });
  const database = openDatabase(join(folder, 'theirs.db'));
  createStore(database).insert(makeEntries('theirs', entriesOf(context)));
  database.close();
  const start = async (name: string, command: string): Promise<Running> =>
    startBundle('ours', 'peer', context, { args: [command], env: environment(name) });
  const serving = await start('theirs', 'serve');
  await serving.waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
  return sampleOf(relay, {
    processes: [serving],
    async work() {
      const startedMs = performance.now();
      const { code, stderr } = await finished(await start('ours', 'sync'));
      const latenciesMs = [performance.now() - startedMs];
      if (code !== 0) return { operations: 0, errors: [`The sync ended with ${code}: ${stderr}`] };
      return { operations: 1, latenciesMs, errors: differences(folder) };
    },
  });
}

function differences(folder: string): string[] {
  const [theirs, ours] = [join(folder, 'theirs.db'), join(folder, 'ours.db')];
  const { missing, surplus } = difference(theirs, ours);
  return missing + surplus === 0 ? [] : [`${missing} entries are missing and ${surplus} are too many.`];
}

const WALL = { ...latency('wallMs', 'Time of the pull', 0.5), digits: 0, against: 'rust' };

export const PULL: Benchmark = {
  name: 'pull',
  title: `A pull of ${ENTRIES.toLocaleString('en-US')} entries`,
  about: `A new device pulls ${ENTRIES.toLocaleString('en-US')} entries through the relay, in compressed pages of 1,000. The Rust devices are the program of the interop matrix at both ends, which compares all entries; ${PULLS} devices pull one after another, and the time is the median from the start of a process to its last entry. "Our peer" is \`rustory-peer sync\` over our relay with its default limits, from the start of the process to its end; both databases are then compared.`,
  raisedLimits: [
    '`RELAY_CIRCUIT_BYTES` and others as in the sections above, and no limits of the Rust relay, except where a row says so',
  ],
  tables: [
    {
      key: 'pull',
      title: `Pull of ${ENTRIES.toLocaleString('en-US')} entries`,
      minimum: 'any',
      columns: [WALL, cpuPerOperation('pull'), RSS],
      goals: [
        {
          column: WALL.key,
          variant: 'ours',
          against: 'rust',
          cases: [RUST_CASE],
          atMost: 1,
          note: 'A page is asked for when the last one has arrived, so the time contains a hundred round trips through the relay, each with two connections that wake it up.',
        },
      ],
      runs: [
        ...relayRuns(
          async (context, relay) =>
            preparePull(context, {
              relay,
              muxer: 'yamux',
              entries: entriesOf(context),
              pulls: context.round === 0 ? 1 : PULLS,
            }),
          { case: RUST_CASE, relays: [OURS, BEFORE, RUST, RUST_DEFAULTS], unavailable: unavailableRust },
        ),
        {
          case: 'our peer',
          variant: 'ours',
          title: 'ours',
          unavailable: firstUnavailable(OURS.unavailable),
          run: measurePeers,
        } satisfies Run,
      ],
    },
  ],
};
