// `sync`: pulls from the other devices, once or for ever. Neither reserves nor registers: it only asks.
import type { Config } from '../../config/config.ts';
import { CommandError, type ExitName } from '../exit-codes.ts';
import {
  clock,
  createNode,
  createPullDeps,
  createTrackers,
  type History,
  now,
  openHistory,
  pause,
} from '../context.ts';
import { DEFAULT_LIMIT, type PullProgress } from '../../sync/pull.ts';
import { MAX_LIMIT } from '../../sync/sync-protocol.ts';
import { formatProgress, showRound, showWatched } from '../sync-report.ts';
import { type Round, type RoundDeps, syncRound } from '../../sync/sync-round.ts';
import { createBaseParts, runParts } from '../components.ts';
import { createWatch } from '../../sync/watch.ts';
import type { Component } from '../../../shared/lifecycle.ts';
import type { PeerNode } from '../../network/node.ts';
import {
  type Command,
  type CommandContext,
  JSON_OPTION,
  type OptionValues,
  readNumber,
  readText,
} from './command.ts';

/** Pause between two rounds of a watch where nothing else is said, in seconds; trackers forget after 60. */
const DEFAULT_INTERVAL_SECONDS = 30;

/** A day: whoever wants a longer pause wants a timer of the system. */
const MAX_INTERVAL_SECONDS = 86_400;

export const WATCH_OPTIONS = {
  peers: { value: 'LIST', doc: 'peer ids or multiaddrs to sync with, instead of all' },
  limit: { value: 'N', doc: `entries to ask for at once, up to ${MAX_LIMIT} (default ${DEFAULT_LIMIT})` },
  'interval-sec': { value: 'N', doc: `seconds between rounds (default ${DEFAULT_INTERVAL_SECONDS})` },
  'start-jitter-sec': { value: 'N', doc: 'longest random pause before the first round, in seconds' },
  json: JSON_OPTION,
} as const;

export const sync: Command = {
  name: 'sync',
  usage: 'sync [--peers A,B] [--limit N] [--watch] [--json]',
  summary: 'pull the history of your other devices',
  help: `Asks the trackers who else belongs to this user, connects to each (through a
relay first, unless dial_strategy says otherwise) and pulls what is new. What
arrived stays, also when it breaks off; the next sync goes on from there.

With --json each peer is one object: peer_id, address, entries, duplicates,
bytes, duration_ms, next_cursor and, when it failed, error.

  rustory-peer sync
  rustory-peer sync --watch --interval-sec 60
  rustory-peer sync --peers /ip4/192.168.1.7/tcp/8845/p2p/12D3KooW…`,
  options: { watch: { doc: 'sync for ever, a line for each round, until SIGTERM' }, ...WATCH_OPTIONS },
  maxPositionals: 0,
  isService: (options) => options['watch'] === true,

  async run(context) {
    const { config, log, options, screen, signal } = context;
    checkWatchOptions(options);
    readSyncOptions(context);
    const history = openHistory(config);
    const node = await createNode(config);
    if (options['watch'] === true) {
      const watch = createSyncWatch(context, history, node);
      await runParts([...createBaseParts(history, node, log), watch], log);
      return 'ok';
    }
    try {
      await node.start();
      screen.progress('looking for your devices');
      const onProgress = (progress: PullProgress): void => screen.progress(formatProgress(progress));
      const deps = createRoundDeps(config, history, node);
      const round = await syncRound(deps, { ...readSyncOptions(context), signal, onProgress });
      await showRound(round, screen, options['json'] === true);
      return judge(round, config.settings.trackers ?? []);
    } finally {
      screen.endProgress();
      await node.libp2p.stop();
      history.database.close();
    }
  },
};

/** What only a watch looks at would be left out in silence. */
function checkWatchOptions(options: OptionValues): void {
  const given = ['interval-sec', 'start-jitter-sec'].find((name) => options[name] !== undefined);
  if (given !== undefined && options['watch'] !== true)
    throw new CommandError('usage', `--${given} is for --watch`, { advice: 'add --watch' });
}

/** The part that syncs again and again, and prints a line for each round. */
export function createSyncWatch(context: CommandContext, history: History, node: PeerNode): Component {
  const { config, options, screen, log } = context;
  const interval = readNumber(options, 'interval-sec', [1, MAX_INTERVAL_SECONDS], DEFAULT_INTERVAL_SECONDS);
  const jitter = readNumber(options, 'start-jitter-sec', [0, 3600], config.settings.p2pWatchStartJitterSec);
  // Made once: which relays failed is remembered from round to round.
  const deps = createRoundDeps(config, history, node);
  return createWatch({
    round: async (signal) => syncRound(deps, { ...readSyncOptions(context), signal }),
    onRound: async (round, durationMs) => showWatched(round, durationMs, screen, options['json'] === true),
    intervalMs: interval * 1000,
    startJitterMs: jitter * 1000,
    log,
    clock,
    random: Math.random,
    sleep: pause,
  });
}

function createRoundDeps(config: Config, { store, peerBook }: History, node: PeerNode): RoundDeps {
  const ownPeerId = node.libp2p.peerId.toString();
  const { userId } = config.settings;
  return {
    discovery: { trackers: createTrackers(config), peerBook, userId, ownPeerId, now },
    pulls: createPullDeps(config, node, store),
  };
}

/** The options that one round takes from the command line. */
export function readSyncOptions({ options }: CommandContext) {
  const peers = readText(options, 'peers')
    ?.split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  return { limit: readNumber(options, 'limit', [1, MAX_LIMIT], DEFAULT_LIMIT), peers };
}

function judge({ reports, problems }: Round, trackers: readonly string[]): ExitName {
  if (reports.length === 0) {
    if (trackers.length === 0)
      throw new CommandError('unreachable', 'no peers found: no tracker is configured', {
        advice: 'set trackers in config.toml, or name a peer with --peers',
      });
    const reason =
      problems.length === 0 ? 'no other device of this user is registered' : 'no tracker answered';
    throw new CommandError('unreachable', `no peers found: ${reason}`, {
      advice: 'run «rustory-peer serve» on another device, and «rustory-peer doctor» on this one',
    });
  }
  const failed = reports.filter(({ error }) => error !== undefined).length;
  if (failed === 0) return 'ok';
  return failed === reports.length ? 'unreachable' : 'partial';
}
