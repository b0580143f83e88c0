// The components of the hub, from its configuration to the end of its process.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import { ConfigError } from '../../shared/errors.ts';
import { createHealth, type Component, type Health } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import { usableMemory } from '../../shared/memory.ts';
import { createOpsServer } from '../../shared/ops.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import type { PeerConfig } from '../config/config.ts';
import { HUB_ROLE } from '../discovery/listed-peer.ts';
import { PEER_BOOK_MAX_AGE_SECONDS } from '../discovery/peer-book.ts';
import { readDatabaseId } from '../history/database-id.ts';
import { createStorage, type Storage } from '../history/storage.ts';
import { type Activity, createActivity } from '../hub/activity.ts';
import { type Announced, readAnnounced } from '../hub/announce.ts';
import { hubWarnings } from '../hub/configuration.ts';
import { createStoredCounts } from '../hub/counts.ts';
import { createHeardDevices } from '../hub/devices.ts';
import { createGuardedStore } from '../hub/guarded-store.ts';
import { shownId } from '../hub/identity.ts';
import { createIdentityChange } from '../hub/identity-change.ts';
import { createHubMetrics, type HubMetrics } from '../hub/metrics.ts';
import { addressesOf, createRelayWatch, type InternalRelays, learnRelays } from '../hub/internal-relays.ts';
import { createNameWatch } from '../hub/names.ts';
import { createOwnPulls } from '../hub/own-pulls.ts';
import { hubInboundLimits } from '../network/inbound-limits.ts';
import type { PeerNode } from '../network/node.ts';
import { groupRelays } from '../network/relays.ts';
import { DEFAULT_LIMIT } from '../sync/pull.ts';
import { syncRound } from '../sync/sync-round.ts';
import { createRoundDeps } from './commands/sync.ts';
import { createBaseComponents, createServing, runComponents } from './components.ts';
import { createNode, type History, pause } from './context.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { type HubIdentity, rejectSeed } from './hub-identity.ts';

/** Drain deadline in milliseconds: a push is answered within 4 s, and a pull that is interrupted continues later. */
const DRAIN_MS = 5_000;

/** Maximum devices whose names are compared with that of the hub. */
const MAX_NAMES = 1_000;

/** What the hub starts with. */
export interface HubStart extends HubIdentity {
  /** What all connections of the process share. */
  readonly io: WireIo;
  readonly secret: Uint8Array;
  /** Components that begin before all others. */
  readonly components: readonly Component[];
}

/** Runs the hub until SIGTERM or SIGINT, or until its database has another id. @throws ConfigError */
export async function runHub(
  given: PeerConfig,
  history: History,
  { io, databaseId, identity, secret, components }: HubStart,
  log: Logger,
): Promise<void> {
  for (const warning of hubWarnings(given)) log.warn({ warning }, 'configuration');
  const internal = await findInternalRelays(given, { io, identity }, log);
  const unlistedRelays = new Set(addressesOf(internal));
  await rejectSeed(secret, given, { relays: [...unlistedRelays], setting: 'internal_relay_addrs' });
  const config = { ...given, relays: [...given.relays, ...unlistedRelays] };
  const peerId = peerIdFromPrivateKey(identity).toString();
  const announced = announcedOf(config, peerId);
  for (const warning of announced.warnings) log.warn({ warning }, 'configuration');
  const { userId, deviceId } = config;
  log.info({ peerId, databaseId: shownId(databaseId), userId, deviceId }, 'hub');

  const inboundLimits = hubInboundLimits(usableMemory().memoryBytes);
  const node = await createNode(config, { io, listen: config.listen, identity, inboundLimits });
  const relays = announced.isPublic ? [] : config.relays;
  const missing = given.hub.internalRelays.length - internal.size;
  const wantedReservations = announced.isPublic ? 0 : groupRelays(relays).length + missing;
  const metrics = createHubMetrics({ cipher: node.cipher.name, wantedReservations });
  const devices = createHeardDevices({ database: history.database, log, nowUnixSeconds: unixSeconds });
  const storage = createHubStorage(config, history);
  const { peerBook } = history;
  const activity = createActivity({ metrics, devices, peerBook, deviceId, log });
  const serving = createServing(config, history, node, log, {
    announced: announced.addresses,
    relays,
    unlistedRelays,
    reservations: wantedReservations,
    role: HUB_ROLE,
    requiresAddress: true,
    storage,
    onPush: activity.onPush,
    onPull: activity.onPull,
  });
  metrics.observe({
    counts: createStoredCounts(history.database, monotonicMs),
    reservations: serving.reservations.held,
    silentSeconds: devices.silentSeconds,
    storage,
  });
  const health = createHubHealth(storage, node);
  const resources = { history, node, registrations: serving.registrations };
  const all = [
    ...components,
    createOpsServer(config.hub.opsListen, health, metrics.registry, log),
    ...createBaseComponents(history, node, log),
    ...serving.components,
    createPulls(config, resources, { metrics, storage, onHeard: activity.onHeard, log }),
    createRelayWatch({
      libp2p: node.libp2p,
      addresses: config.hub.internalRelays,
      relays: internal,
      isConnected: (relay) => node.libp2p.getPeers().some((peer) => peer.toString() === relay),
      exitCode: EXIT_CODES.failure.code,
    }),
    createIdentityChange({
      databaseId,
      readId: () => readDatabaseId(history.database),
      exitCode: EXIT_CODES.database.code,
    }),
  ];
  await runComponents(all, log, { health, drainMs: DRAIN_MS });
}

/** Asks the relays in the cluster for their peer ids, with a node of its own, because that of the hub is not started yet. */
async function findInternalRelays(
  config: PeerConfig,
  { io, identity }: Pick<HubStart, 'io' | 'identity'>,
  log: Logger,
): Promise<InternalRelays> {
  const addresses = config.hub.internalRelays;
  if (addresses.length === 0) return new Map();
  const { libp2p, start } = await createNode(config, { io, listen: [], identity });
  await start();
  try {
    return await learnRelays({ libp2p, addresses, log, sleep: pause });
  } finally {
    await libp2p.stop();
  }
}

/** The addresses to register. @throws ConfigError when one of them names another peer */
function announcedOf({ hub }: PeerConfig, peerId: string): Announced {
  const announced = readAnnounced(hub.announced, peerId);
  if (announced.problems.length > 0)
    throw new ConfigError(announced.problems.map((problem) => `announce_addrs: ${problem}`));
  return announced;
}

function createHubStorage({ hub }: PeerConfig, { database }: History): Storage {
  const { maxDatabaseBytes: maxBytes, minFreeBytes } = hub;
  return createStorage({ database, maxBytes, minFreeBytes, nowMs: monotonicMs });
}

/** Ready means that the hub can store: its database can be written, and its node runs. */
function createHubHealth(storage: Storage, { libp2p }: PeerNode): Health {
  const health = createHealth();
  health.addCheck('storage', () => {
    const checked = storage.checkWrite();
    return checked.ok ? undefined : storage.describe(checked.reason);
  });
  health.addCheck('node', () => (libp2p.status === 'started' ? undefined : 'the node does not run'));
  return health;
}

interface PullParts {
  readonly metrics: HubMetrics;
  readonly storage: Storage;
  readonly onHeard: Activity['onHeard'];
  readonly log: Logger;
}

/** The component that pulls from the devices of the user. */
function createPulls(
  config: PeerConfig,
  { history, ...resources }: Parameters<typeof createRoundDeps>[1],
  { metrics, storage, onHeard, log }: PullParts,
): Component {
  const { peerBook, database } = history;
  const { userId, deviceId } = config;
  const store = createGuardedStore(history.store, storage, database.path);
  const roundDeps = createRoundDeps(config, { ...resources, history: { ...history, store } });
  const peerId = resources.node.libp2p.peerId.toString();
  const known = () => peerBook.recall(userId, unixSeconds() - PEER_BOOK_MAX_AGE_SECONDS, MAX_NAMES);
  return createOwnPulls({
    round: async (signal) => syncRound(roundDeps, { limit: DEFAULT_LIMIT, targets: undefined, signal }),
    storageProblem() {
      const checked = storage.check();
      return checked.ok ? undefined : storage.describe(checked.reason);
    },
    onHeard,
    onRound: createNameWatch({ deviceId, peerId, known, log }),
    metrics,
    intervalMs: config.hub.intervalSeconds * 1000,
    log,
    nowMs: monotonicMs,
    random: Math.random,
    sleep: pause,
  });
}
