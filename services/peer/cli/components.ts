// The parts that the long-running commands are made of, and how such a command runs: in order up, on a signal down.
import { hostname } from 'node:os';
import { createHealth, createLifecycle, type Component, runService } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import { VERSION } from '../../shared/program.ts';
import { isLoopback } from '../network/addresses.ts';
import type { Config } from '../config/config.ts';
import { clock, createTrackers, type History, now } from './context.ts';
import type { PeerNode } from '../network/node.ts';
import { createHeartbeat } from '../discovery/heartbeat.ts';
import { createReservations } from '../network/reservation.ts';
import { servePulls } from '../sync/serve.ts';

/** How long starting or stopping may take, in milliseconds; a pull that is cut off goes on by its cursor. */
const DEADLINE_MS = 10_000;
const DRAIN_MS = 1_000;

/** Runs the parts until SIGTERM or SIGINT, then ends the process. */
export async function runParts(parts: readonly Component[], log: Logger): Promise<void> {
  const options = { log, health: createHealth(), drainMs: DRAIN_MS, deadlineMs: DEADLINE_MS };
  await runService(createLifecycle(parts, options), options);
}

/** The database, closed last, and the node. */
export function createBaseParts({ database }: History, node: PeerNode, log: Logger): Component[] {
  const { libp2p, cipher } = node;
  return [
    { name: 'database', start: async () => {}, stop: async () => database.close() },
    {
      name: 'node',
      start: async () => {
        await node.start();
        log.info(
          { peerId: libp2p.peerId.toString(), cipher: cipher.name, cipherReason: cipher.reason },
          'node started',
        );
      },
      stop: async () => libp2p.stop(),
    },
  ];
}

/** What makes a device one that others can sync with: answers, reservations, registration. */
export function createServingParts(config: Config, { store }: History, node: PeerNode, log: Logger): Component[] {
  const { libp2p } = node;
  const { userId, deviceId, relayAddr: relays = [] } = config.settings;
  const reservations = createReservations({
    node,
    relays,
    log,
    onChange: () => heartbeat.changed(),
    clock,
    now,
    random: Math.random,
  });
  const heartbeat = createHeartbeat({
    trackers: createTrackers(config),
    peerId: libp2p.peerId.toString(),
    meta: { user_id: userId, device_id: deviceId, hostname: hostname(), version: VERSION },
    addresses() {
      const circuits = reservations.addresses();
      return [...circuits, ...directAddresses(node, circuits.length === 0)];
    },
    log,
    random: Math.random,
  });
  let stopServing: (() => Promise<void>) | undefined;
  return [
    {
      name: 'pulls',
      start: async () => void (stopServing = await servePulls({ libp2p, store, log, clock })),
      stop: async () => stopServing?.(),
    },
    { name: 'reservations', start: async () => reservations.start(), stop: async () => reservations.stop() },
    { name: 'registration', start: async () => heartbeat.start(), stop: async () => heartbeat.stop() },
  ];
}

/** Where the node listens. Addresses that only this machine can reach are told only when it has no others at all. */
function directAddresses({ libp2p }: PeerNode, isOnlyWay: boolean): string[] {
  const all = libp2p.getMultiaddrs().map((address) => address.toString());
  const direct = all.filter((address) => !address.includes('/p2p-circuit'));
  const reachable = direct.filter((address) => !isLoopback(address));
  return reachable.length > 0 || !isOnlyWay ? reachable : direct;
}
