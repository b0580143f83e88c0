// `sync`: pulls from the other devices and pushes to them, once or until it is stopped. Other devices answer only devices that a tracker
// lists, so it registers where no process of this device is listed. It requests no reservations.
import { peerIdFromString } from '@libp2p/peer-id';
import { monotonicMs, unixSeconds } from '../../../shared/clock.ts';
import type { Component } from '../../../shared/lifecycle.ts';
import { quote } from '../../../shared/variables.ts';
import { type PeerConfig, PROGRAM } from '../../config/config.ts';
import type { Registrations } from '../../discovery/registrations.ts';
import { createPeerTurns } from '../../discovery/peer-turns.ts';
import { peerIdOf } from '../../network/addresses.ts';
import { createChangeWatch } from '../../network/change-watch.ts';
import type { Target } from '../../network/dial.ts';
import type { PeerNode } from '../../network/node.ts';
import { listAddresses } from '../../network/relay-probe.ts';
import { DEFAULT_LIMIT } from '../../sync/pull.ts';
import { createPushPauses, type PushPauses } from '../../sync/push-pauses.ts';
import { hasMore } from '../../sync/pull-queue.ts';
import { MAX_LIMIT, MAX_LIMIT_WITHOUT_DELETIONS } from '../../sync/sync-protocol.ts';
import { type Round, type RoundDeps, syncRound } from '../../sync/sync-round.ts';
import type { TurnProgress } from '../../sync/turn.ts';
import { createWatch } from '../../sync/watch.ts';
import { createBaseComponents, runComponents } from '../components.ts';
import {
  createNode,
  createPullDeps,
  createSyncRegistrations,
  createTrackers,
  type History,
  openHistory,
  pause,
} from '../context.ts';
import { CommandError, type ExitName } from '../exit-codes.ts';
import { isPushFailed } from '../push-report.ts';
import { formatProgress, showRound, showWatchRound } from '../sync-report.ts';
import {
  type Command,
  type CommandContext,
  JSON_OPTION,
  listOption,
  numberOption,
  type OptionValues,
} from './command.ts';

/** Default pause between two rounds, in seconds. A tracker removes a device after 60 seconds without a heartbeat. */
const DEFAULT_INTERVAL_SECONDS = 30;

/** One day. */
const MAX_INTERVAL_SECONDS = 86_400;

const MAX_JITTER_SECONDS = 3600;

export const WATCH_OPTIONS = {
  peers: { value: 'LIST', doc: 'peer ids or multiaddrs to sync with (default: all devices)' },
  limit: {
    value: 'N',
    doc: `entries per request (default and maximum ${MAX_LIMIT}; a larger number counts as ${MAX_LIMIT})`,
  },
  push: { doc: 'also send the entries and deletions of this device to each device' },
  'interval-sec': { value: 'N', doc: `seconds between rounds (default ${DEFAULT_INTERVAL_SECONDS})` },
  'start-jitter-sec': { value: 'N', doc: 'longest random delay of the first round, in seconds' },
  json: JSON_OPTION,
} as const;

export const sync: Command = {
  name: 'sync',
  usage: 'sync [--peers A,B] [--limit N] [--push] [--watch] [--json]',
  summary: 'pull the history of your other devices',
  help: `Asks the trackers for the other devices of the user, connects to each as
dial_strategy says, and pulls the entries that are new. Entries that arrived
are kept when the sync is interrupted; the next sync continues after them.

With --push each device also gets what was recorded, imported or deleted on
this one and it does not have yet. Use it on a device that is seldom on at the
same time as the others: a hub, or any device that runs serve, then has its
entries. What other devices made is never pushed. A device that refuses a push
is reported, and the exit code is 4; one that accepts none is not a failure.

Other devices answer only devices that a tracker lists. Where this one is not
listed, it is registered until the sync ends.

With --json each peer is one object: peer_id, address, entries, duplicates,
bytes, duration_ms, next_cursor, push (with --push) and, when it failed, error.
A device that lists no address to connect to has the field skipped.

  ${PROGRAM.name} sync --push
  ${PROGRAM.name} sync --watch --interval-sec 60
  ${PROGRAM.name} sync --peers /ip4/192.168.1.7/tcp/8845/p2p/12D3KooW…`,
  options: { watch: { doc: 'sync until SIGTERM, with one line per round' }, ...WATCH_OPTIONS },
  maxPositionals: 0,
  isService: (options) => options['watch'] === true,

  async run(context) {
    const { config, log, io, options, screen, signal } = context;
    checkWatchOptions(options);
    readSyncOptions(context);
    const history = openHistory(config);
    const node = await createNode(config, { io });
    if (options['watch'] === true) {
      const registrations = createSyncRegistrations(config, node, log, history);
      const registration = {
        name: 'registration',
        // The first round registers, after it has asked the trackers whether this device is listed.
        start: async () => {},
        stop: async () => registrations.stop(),
      };
      const watch = createSyncWatch(context, { history, node, registrations });
      await runComponents([...createBaseComponents(history, node, log), registration, watch], log);
      return 'ok';
    }
    // The result of a registration is shown with the round.
    const registrations = createSyncRegistrations(config, node, log.child({}, { level: 'silent' }), history);
    try {
      await node.start();
      screen.progress('looking for your devices');
      const onProgress = (progress: TurnProgress): void => screen.progress(formatProgress(progress));
      const deps = createSyncDeps(context, { history, node, registrations });
      const roundOptions = { ...readSyncOptions(context), untilComplete: true, signal, onProgress };
      const round = await syncRound(deps, roundOptions);
      await showRound(round, screen, options['json'] === true);
      return exitOfRound(round, config.trackers);
    } finally {
      screen.endProgress();
      await registrations.stop();
      await node.libp2p.stop();
      history.database.close();
    }
  },
};

/** @throws CommandError for an option that requires --watch, if --watch is absent */
function checkWatchOptions(options: OptionValues): void {
  const given = ['interval-sec', 'start-jitter-sec'].find((name) => options[name] !== undefined);
  if (given !== undefined && options['watch'] !== true)
    throw new CommandError('usage', `--${given}: The option requires --watch.`, { advice: 'Add --watch.' });
}

/** What the rounds of a sync use. */
interface SyncResources {
  readonly history: History;
  readonly node: PeerNode;
  readonly registrations: Registrations;
}

/** The component that syncs at an interval and prints one line per round. */
export function createSyncWatch(context: CommandContext, resources: SyncResources): Component {
  const { config, options, screen, log } = context;
  const intervalSeconds = numberOption(
    options,
    'interval-sec',
    [1, MAX_INTERVAL_SECONDS],
    DEFAULT_INTERVAL_SECONDS,
  );
  const jitterSeconds = numberOption(
    options,
    'start-jitter-sec',
    [0, MAX_JITTER_SECONDS],
    config.watchStartJitterSeconds,
  );
  let isNetworkChanged = false;
  const takeNetworkChange = (): boolean => {
    const isChanged = isNetworkChanged;
    isNetworkChanged = false;
    return isChanged;
  };
  const network = createChangeWatch({
    addresses: () => [listAddresses()],
    onChange: () => void (isNetworkChanged = true),
    nowMs: monotonicMs,
    nowUnixMs: Date.now,
  });
  // Shared by all rounds, because it remembers which relays failed.
  const pauses = createPushPauses(monotonicMs);
  const deps = { ...createSyncDeps(context, resources, pauses), takeNetworkChange };
  const watch = createWatch({
    round: async (signal) => syncRound(deps, { ...readSyncOptions(context), signal }),
    onRound: async (round, durationMs) => showWatchRound(round, durationMs, screen, options['json'] === true),
    intervalMs: intervalSeconds * 1000,
    startJitterMs: jitterSeconds * 1000,
    log,
    nowMs: monotonicMs,
    random: Math.random,
    sleep: pause,
  });
  return {
    name: watch.name,
    async start() {
      network.start();
      await watch.start();
    },
    async stop() {
      network.stop();
      await watch.stop();
    },
  };
}

/** The dependencies of the rounds of a process that does not push. */
export function createRoundDeps(
  config: PeerConfig,
  { history, node, registrations }: SyncResources,
): RoundDeps {
  const { store, pushes, peerBook, database } = history;
  const ownPeerId = node.libp2p.peerId.toString();
  const { userId } = config;
  const trackers = createTrackers(config);
  return {
    discovery: { trackers, peerBook, userId, ownPeerId, nowUnixSeconds: unixSeconds, registrations },
    pulls: createPullDeps(config, node, store),
    syncs: pushes,
    turns: createPeerTurns(database),
    random: Math.random,
  };
}

/** The same with what this device pushes, if it does. */
function createSyncDeps(
  { config, options }: Pick<CommandContext, 'config' | 'options'>,
  resources: SyncResources,
  pauses?: PushPauses,
): RoundDeps {
  const deps = createRoundDeps(config, resources);
  if (options['push'] !== true) return deps;
  const { userId, deviceId, allowedPeers } = config;
  const push = { pushes: resources.history.pushes, owner: { userId, deviceId }, allowedPeers, pauses };
  return { ...deps, pulls: { ...deps.pulls, push } };
}

/** The options of one round. */
export function readSyncOptions({ options }: CommandContext) {
  return {
    // Earlier versions sent larger limits, so they are accepted.
    limit: Math.min(
      numberOption(options, 'limit', [1, MAX_LIMIT_WITHOUT_DELETIONS], DEFAULT_LIMIT),
      MAX_LIMIT,
    ),
    targets: listOption(options, 'peers')?.map(parseTarget),
  };
}

function parseTarget(text: string): Target {
  const isAddress = text.startsWith('/');
  const peerId = isAddress ? peerIdOf(text) : text;
  try {
    return { peerId: peerIdFromString(peerId ?? '').toString(), addresses: isAddress ? [text] : [] };
  } catch (error) {
    throw new CommandError(
      'usage',
      `--peers: ${quote(text)} is neither a peer id nor a multiaddr that ends in /p2p/PEER_ID.`,
      { cause: error },
    );
  }
}

/** The exit of a one-shot sync: a success only when every device is synced completely. */
export function exitOfRound(
  { reports, skipped, postponed, problems }: Round,
  trackers: readonly string[],
): ExitName {
  if (reports.length === 0 && postponed.length === 0 && skipped.length > 0) return 'ok';
  if (reports.length === 0) {
    if (trackers.length === 0)
      throw new CommandError('unreachable', 'No peer was found: no tracker is configured.', {
        advice: 'Set trackers in config.toml, or name a peer with --peers.',
      });
    const reason =
      problems.length === 0 ? 'no other device of this user is registered' : 'no tracker responded';
    throw new CommandError('unreachable', `No peer was found: ${reason}.`, {
      advice: `Run "${PROGRAM.name} serve" on another device, and "${PROGRAM.name} doctor" on this one.`,
    });
  }
  const failed = reports.filter(({ error }) => error !== undefined).length;
  const left = postponed.length + reports.filter(hasMore).length;
  const notPushed = reports.filter(({ push }) => isPushFailed(push)).length;
  if (failed + left + notPushed === 0) return 'ok';
  return failed === reports.length ? 'unreachable' : 'partial';
}
