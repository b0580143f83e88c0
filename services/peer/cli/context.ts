// Opens what commands need from the configuration: the database, the keys, the node, the trackers. Each is opened
// only by the commands that use it, and closed by whoever opened it.
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PrivateKey } from '@libp2p/interface';
import { ConfigError, describeError } from '../../shared/errors.ts';
import { VERSION } from '../../shared/program.ts';
import { readOrCreateIdentity } from '../../private-network/identity.ts';
import { readSwarmKey, type SwarmKey } from '../../private-network/key.ts';
import type { Config } from '../config/config.ts';
import { type Database, openDatabase } from '../history/database.ts';
import { createDialer } from '../network/dial.ts';
import { createPeerNode, type PeerNode } from '../network/node.ts';
import { createPeerBook, type PeerBook } from '../discovery/peer-book.ts';
import type { PullDeps } from '../sync/pull.ts';
import { toRetryPolicy } from '../sync/retry.ts';
import { createStore, type Store } from '../history/store.ts';
import { createTrackerClient, type TrackerClient } from '../discovery/tracker-client.ts';

/** Milliseconds that only grow. */
export const clock = (): number => performance.now();

/** Unix seconds. */
export const now = (): number => Math.floor(Date.now() / 1000);

export interface History {
  readonly database: Database;
  readonly store: Store;
  readonly peerBook: PeerBook;
}

/** Opens the database of the configuration. @throws DatabaseError */
export function openHistory({ settings }: Config): History {
  const database = openDatabase(settings.dbPath);
  return { database, store: createStore(database), peerBook: createPeerBook(database) };
}

/** @throws ConfigError that says how to get a swarm key. */
export function loadSwarmKey({ settings: { swarmKeyPath } }: Config): SwarmKey {
  if (!existsSync(swarmKeyPath))
    throw new ConfigError([
      `there is no swarm key at ${swarmKeyPath}: copy the one of your other devices there, or make the first with: rustory-peer init`,
    ]);
  try {
    return readSwarmKey(swarmKeyPath);
  } catch (error) {
    throw new ConfigError([`swarm_key_path ${describeError(error)}`]);
  }
}

/** The identity of this device, made at its first use. @throws ConfigError */
export async function loadIdentity({ settings: { p2pIdentityKeyPath } }: Config): Promise<PrivateKey> {
  try {
    mkdirSync(dirname(p2pIdentityKeyPath), { recursive: true, mode: 0o700 });
    return await readOrCreateIdentity(p2pIdentityKeyPath);
  } catch (error) {
    throw new ConfigError([`p2p_identity_key_path ${describeError(error)}`]);
  }
}

export function createTrackers({ settings }: Config): TrackerClient[] {
  return (settings.trackers ?? []).map((url) => createTrackerClient({ url, token: settings.trackerToken }));
}

/** The node of this device, not started; without `listen` for a command that only asks others. */
export async function createNode(config: Config, listen?: readonly string[]): Promise<PeerNode> {
  const swarmKey = loadSwarmKey(config);
  return createPeerNode({ identity: await loadIdentity(config), swarmKey, listen, version: VERSION });
}

/** What a pull over the node needs. */
export function createPullDeps({ settings }: Config, { libp2p }: PeerNode, store: Store): PullDeps {
  const dialer = createDialer({
    libp2p,
    relays: settings.relayAddr ?? [],
    strategy: settings.dialStrategy,
    clock,
  });
  return { dialer, store, retry: toRetryPolicy(settings), clock, sleep: pause };
}

/** Resolves after that many milliseconds; rejects when the signal aborts. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
}
