// Opens the resources in the configuration: the database, the keys, the node, the trackers. Each command opens only
// what it uses, and closes what it opened.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PrivateKey } from '@libp2p/interface';
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import { ConfigError, describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { makePrivateDirectory } from '../../shared/files.ts';
import { VERSION } from '../../shared/program.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import { readOrCreateIdentity } from '../../private-network/identity.ts';
import { readSwarmKey, type SwarmKey } from '../../private-network/key.ts';
import { type PeerConfig, PROGRAM } from '../config/config.ts';
import { readTokenFile } from '../config/hub-settings.ts';
import { parseToken } from '../config/settings.ts';
import { createIdentityWatch, type IdentityWatch } from '../discovery/identity-watch.ts';
import { createPeerBook, type PeerBook } from '../discovery/peer-book.ts';
import { createRegistrations, type Registrations } from '../discovery/registrations.ts';
import { createTrackerClient, type TrackerClient } from '../discovery/tracker-client.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../history/database.ts';
import { createPushStore, type PushStore } from '../history/push-store.ts';
import { createStore, type Store } from '../history/store.ts';
import { createDialer, type Dialer } from '../network/dial.ts';
import type { InboundLimits } from '../network/inbound-limits.ts';
import { createPeerNode, type PeerNode } from '../network/node.ts';
import { createMembership, type Membership } from '../sync/membership.ts';
import type { PullDeps } from '../sync/pull.ts';

export interface History {
  readonly database: Database;
  readonly store: Store;
  readonly pushes: PushStore;
  readonly peerBook: PeerBook;
}

/** Opens the database. @throws DatabaseError */
export function openHistory({ databasePath }: PeerConfig, options: DatabaseOptions = {}): History {
  const database = openDatabase(databasePath, Date.now, options);
  return {
    database,
    store: createStore(database),
    pushes: createPushStore(database),
    peerBook: createPeerBook(database),
  };
}
/** Reads the swarm key. @throws ConfigError */
export function loadSwarmKey({ swarmKeyPath }: PeerConfig): SwarmKey {
  if (!existsSync(swarmKeyPath))
    throw new ConfigError([
      `swarm_key_path: ${swarmKeyPath} does not exist. Copy the swarm key of another device there, or create a new one with "${PROGRAM.name} init".`,
    ]);
  try {
    return readSwarmKey(swarmKeyPath);
  } catch (error) {
    throw new ConfigError([`swarm_key_path: ${describeError(error)}.`]);
  }
}

/** The identity of this device, which is created at its first use. @throws ConfigError */
export async function loadIdentity({ identityPath }: PeerConfig): Promise<PrivateKey> {
  try {
    makePrivateDirectory(dirname(identityPath));
    return await readOrCreateIdentity(identityPath);
  } catch (error) {
    throw new ConfigError([`p2p_identity_key_path: ${describeError(error)}.`]);
  }
}

export function createTrackers(config: PeerConfig): TrackerClient[] {
  const token = tokenOf(config);
  return config.trackers.map((url) =>
    createTrackerClient({ url, token, tokenOverHttp: config.trackerTokenOverHttp }),
  );
}

/** The token, read again for each request if it is in a file. While the file has no valid token, the last one is used. */
function tokenOf({ trackerToken, trackerTokenPath }: PeerConfig): string | (() => string) | undefined {
  if (trackerTokenPath === undefined || trackerToken === undefined) return trackerToken;
  let token = trackerToken;
  return () => {
    try {
      token = readTokenFile(trackerTokenPath, parseToken);
    } catch {
      // The file is being replaced. A token that is no longer valid is refused by the tracker, which is logged.
    }
    return token;
  };
}

export interface RegistrationOptions {
  /** The current addresses of this device. */
  readonly addresses: () => readonly string[];
  /** Whether the registration of another process with this identity is left as it is. */
  readonly yields: boolean;
  /** What this device is registered as, besides a device: `hub`. */
  readonly role?: string | undefined;
  /** Whether this device is not registered while it has no address. */
  readonly requiresAddress?: boolean | undefined;
  /** The history of this device, which remembers whether another device uses its identity. */
  readonly history: History | undefined;
  readonly log: Logger;
}

/** The registrations of this device with the configured trackers, not started. */
export function createOwnRegistrations(
  config: PeerConfig,
  { libp2p }: PeerNode,
  { history, role, ...options }: RegistrationOptions,
): Registrations {
  const { userId, deviceId } = config;
  const peerId = libp2p.peerId.toString();
  return createRegistrations({
    ...options,
    trackers: createTrackers(config),
    peerId,
    meta: {
      user_id: userId,
      device_id: deviceId,
      hostname: hostname(),
      version: VERSION,
      ...(role !== undefined && { role }),
    },
    identity: history && createOwnIdentityWatch(config, peerId, history, options.log),
    nowMs: monotonicMs,
    random: Math.random,
    sleep: pause,
  });
}

/** Watches whether another device uses the identity of this one. */
export function createOwnIdentityWatch(
  { deviceId }: PeerConfig,
  peerId: string,
  { database }: History,
  log: Logger,
): IdentityWatch {
  const own = { peerId, deviceId, hostname: hostname() };
  return createIdentityWatch({ own, database, log, nowUnixSeconds: unixSeconds });
}

/** The registrations of a process that accepts no connections. */
export function createSyncRegistrations(
  config: PeerConfig,
  node: PeerNode,
  log: Logger,
  history?: History,
): Registrations {
  return createOwnRegistrations(config, node, { addresses: () => [], yields: true, history, log });
}

/** The devices that count as members of this user's network. */
export function createMembers(config: PeerConfig, { store, peerBook }: History): Membership {
  return createMembership({
    trackers: createTrackers(config),
    peerBook,
    isRevoked: (peerId) => store.isRevoked(peerId),
    userId: config.userId,
    nowMs: monotonicMs,
  });
}

/** Whether peers that are not members are answered. Without a tracker no device could become a member. */
export function answersAnyone({ serveTo, trackers }: PeerConfig): boolean {
  return serveTo === undefined ? trackers.length === 0 : serveTo === 'anyone';
}

export interface NodeOptions {
  /** The one of the process. */
  readonly io: WireIo;
  /** Default: the node accepts neither connections nor circuits. */
  readonly listen?: readonly string[];
  /** Default: that of the configuration. */
  readonly identity?: PrivateKey | undefined;
  /** Default: those of a device. */
  readonly inboundLimits?: InboundLimits;
}

/** Creates the node of this device without starting it. */
export async function createNode(
  config: PeerConfig,
  { io, listen, identity, inboundLimits }: NodeOptions,
): Promise<PeerNode> {
  const swarmKey = loadSwarmKey(config);
  return createPeerNode({
    io,
    identity: identity ?? (await loadIdentity(config)),
    swarmKey,
    listen,
    version: VERSION,
    inboundLimits,
  });
}

/** Connects to other devices as the configuration says. */
export function createConfiguredDialer({ relays, dialStrategy }: PeerConfig, node: PeerNode): Dialer {
  return createDialer({
    node,
    relays,
    strategy: dialStrategy,
    nowMs: monotonicMs,
    random: Math.random,
    sleep: pause,
  });
}

/** The dependencies of a pull over the node. */
export function createPullDeps(config: PeerConfig, node: PeerNode, store: Store): PullDeps {
  const { retry, userId, trackers } = config;
  return {
    dialer: createConfiguredDialer(config, node),
    store,
    retry,
    own: { userId, trackers },
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    sleep: pause,
  };
}

/** Resolves after a time in milliseconds; rejects when the signal aborts. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
}
