// Tests a network with two temporary devices. One reserves on a relay and registers; the other one finds it through the
// trackers and pulls its history through that relay. `rustory-peer network-test` and `helm test` run this.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { multiaddr } from '@multiformats/multiaddr';
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import { VERSION } from '../../shared/program.ts';
import type { PeerConfig } from '../config/config.ts';
import type { TrackerClient } from '../discovery/tracker-client.ts';
import type { Store } from '../history/store.ts';
import type { PeerNode } from '../network/node.ts';
import { circuitAddresses, requestReservation } from '../network/reservation.ts';
import { servePulls } from '../sync/serve.ts';
import { createPeerTurns } from '../discovery/peer-turns.ts';
import { syncRound } from '../sync/sync-round.ts';
import {
  answersAnyone,
  createMembers,
  createNode,
  createPullDeps,
  createSyncRegistrations,
  createTrackers,
  openHistory,
} from './context.ts';
import { deviceConfig, makeEntries, type NetworkTestOptions, readAll, withPeerId } from './test-device.ts';

/** Entries per request, so that a sync has several responses. */
const PAGE_ENTRIES = 400;

/**
 * Tests all trackers of the configuration with one relay.
 *
 * @param relay its multiaddr; without a peer id, the peer at the address is used if it has the swarm key.
 * @throws Error that describes the failed step.
 */
export async function testRelay(
  config: PeerConfig,
  relay: string,
  options: NetworkTestOptions,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-network-test-'));
  try {
    const userId = `network-test-${randomUUID().slice(0, 8)}`;
    const device = (name: string): PeerConfig => deviceConfig(config, userId, directory, name);
    await testBetween(device('serving'), device('pulling'), relay, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function testBetween(
  serving: PeerConfig,
  pulling: PeerConfig,
  relay: string,
  options: NetworkTestOptions,
): Promise<void> {
  const node = await createNode(serving, { io: options.io, listen: [] });
  const history = openHistory(serving);
  let stopServing: (() => Promise<void>) | undefined;
  try {
    history.store.insert(makeEntries(serving));
    await node.start();
    stopServing = await servePulls({
      libp2p: node.libp2p,
      store: history.store,
      membership: createMembers(serving, history),
      answersAnyone: answersAnyone(serving),
      log: options.log,
      nowMs: monotonicMs,
    });
    const reservation = await reserve(node, relay, options);
    const peerId = node.libp2p.peerId.toString();
    await whileRegistered(serving, peerId, reservation.addresses, options, async () =>
      pullThrough(pulling, reservation.relay, peerId, history.store, options),
    );
  } finally {
    await stopServing?.();
    await node.libp2p.stop();
    history.database.close();
  }
}

/** A relay that granted a reservation. */
interface TestReservation {
  /** The address of the relay, with its peer id. */
  readonly relay: string;
  /** The circuit addresses of this device. */
  readonly addresses: readonly string[];
}

async function reserve(
  node: PeerNode,
  given: string,
  { signal, onStep }: NetworkTestOptions,
): Promise<TestReservation> {
  const relay = await withPeerId(node, given, signal);
  const result = await requestReservation(node, [relay], signal);
  if (!result.ok)
    throw new Error(`${relay}: The reservation failed: ${result.reason}: ${result.attempt.reason}.`);
  const announced = result.reservation.addrs.map((bytes) => multiaddr(bytes).toString());
  onStep(`reserved on ${relay}, which announces ${announced.join(', ')}`);
  return { relay, addresses: circuitAddresses([relay], result.reservation, node.libp2p.peerId.toString()) };
}

/** Registers with every tracker, runs the work while all of them list the device, and unregisters. */
async function whileRegistered(
  config: PeerConfig,
  peerId: string,
  addresses: readonly string[],
  { signal, onStep }: NetworkTestOptions,
  work: () => Promise<void>,
): Promise<void> {
  const trackers = createTrackers(config);
  const { userId, deviceId } = config;
  const meta = { user_id: userId, device_id: deviceId, hostname: deviceId, version: VERSION };
  const listedAddresses = async (tracker: TrackerClient): Promise<readonly string[] | undefined> =>
    (await tracker.list(userId, signal, peerId)).peers.find((peer) => peer.peerId === peerId)?.addresses;
  try {
    for (const tracker of trackers) {
      await tracker.register({ peerId, addresses, meta }, signal);
      if (!isDeepStrictEqual(await listedAddresses(tracker), addresses))
        throw new Error(`${tracker.url}: The tracker accepted a registration and does not list it.`);
      onStep(`registered with ${tracker.url}, which lists it`);
    }
    await work();
  } finally {
    await Promise.allSettled(trackers.map(async (tracker) => tracker.unregister(peerId)));
  }
  for (const tracker of trackers) {
    if ((await listedAddresses(tracker)) !== undefined)
      throw new Error(`${tracker.url}: The tracker still lists a device that was unregistered.`);
    onStep(`unregistered from ${tracker.url}`);
  }
}

/** Finds the serving device through the trackers, pulls from it through the relay, and compares the entries. */
async function pullThrough(
  config: PeerConfig,
  relay: string,
  peerId: string,
  expected: Store,
  { io, log, signal, onStep }: NetworkTestOptions,
): Promise<void> {
  const pulling: PeerConfig = { ...config, relays: [relay] };
  const { database, store, peerBook } = openHistory(pulling);
  const node = await createNode(pulling, { io });
  const registrations = createSyncRegistrations(pulling, node, log.child({}, { level: 'silent' }));
  try {
    await node.start();
    const discovery = {
      trackers: createTrackers(pulling),
      peerBook,
      userId: pulling.userId,
      ownPeerId: node.libp2p.peerId.toString(),
      nowUnixSeconds: unixSeconds,
      registrations,
    };
    const { reports } = await syncRound(
      {
        discovery,
        pulls: createPullDeps(pulling, node, store),
        turns: createPeerTurns(database),
        random: Math.random,
      },
      { limit: PAGE_ENTRIES, targets: [{ peerId, addresses: [] }], signal },
    );
    const [report] = reports;
    if (report === undefined) throw new Error(`${relay}: The trackers do not list the serving device.`);
    if (report.error !== undefined) throw new Error(`${relay}: The sync failed: ${report.error}`);
    if (report.address?.startsWith(`${relay}/p2p-circuit/`) !== true)
      throw new Error(`${relay}: The sync used a different address: ${report.address}.`);
    if (!isDeepStrictEqual(readAll(store), readAll(expected)))
      throw new Error(`${relay}: The synced entries differ from the served entries.`);
    onStep(`synced ${report.entries} entries through ${relay} in ${report.durationMs} ms`);
  } finally {
    await registrations.stop();
    await node.libp2p.stop();
    database.close();
  }
}
