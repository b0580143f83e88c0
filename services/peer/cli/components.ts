// The components of the commands that run until a signal.
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import {
  createHealth,
  createLifecycle,
  type Component,
  type Health,
  runService,
} from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { PeerConfig } from '../config/config.ts';
import type { Registrations } from '../discovery/registrations.ts';
import { isLoopback } from '../network/addresses.ts';
import { createChangeWatch } from '../network/change-watch.ts';
import type { PeerNode } from '../network/node.ts';
import { createReservations, type Reservations } from '../network/reservation.ts';
import { createDatabaseComponent } from './database-component.ts';
import { type PushServer, servePushes } from '../sync/push-serve.ts';
import type { PullEvent } from '../sync/pull-outcomes.ts';
import type { PushEvent, PushStorage } from '../sync/push-outcomes.ts';
import { servePulls } from '../sync/serve.ts';
import type { ServingLimits } from '../sync/serving-limits.ts';
import { answersAnyone, createMembers, createOwnRegistrations, type History } from './context.ts';

/** Deadline for one component to start or to stop, in milliseconds. */
const DEADLINE_MS = 10_000;

/** Drain deadline, in milliseconds. It is short, because an interrupted pull continues from its cursor. */
const DRAIN_MS = 1_000;

/** Logged once at start. Without a tracker this device cannot find out which devices belong to its user. */
const NO_TRACKER =
  'no tracker is configured, so that every device that has the swarm key may pull from this one and push to it; set trackers or serve_to';

/** Logged once at start, because `rr` 0.1 itself reports nothing. */
const ONLY_ALLOWED_PEERS =
  'only the peers in allowed_peers may pull from this one and push to it; clients with rr 0.1 are refused, because they have a new peer id at each sync';

/** Runs the components until SIGTERM or SIGINT, then ends the process. */
export async function runComponents(
  components: readonly Component[],
  log: Logger,
  { health = createHealth(), drainMs = DRAIN_MS }: { health?: Health; drainMs?: number } = {},
): Promise<void> {
  const options = { log, health, drainMs, deadlineMs: DEADLINE_MS };
  await runService(createLifecycle(components, options), options);
}

/** The database and the node. The database is closed last. */
export function createBaseComponents({ database }: History, node: PeerNode, log: Logger): Component[] {
  const { libp2p, cipher, accept } = node;
  return [
    createDatabaseComponent(database),
    {
      name: 'node',
      start: async () => {
        await node.start();
        if (accept !== undefined) log.info(accept, 'how sockets are read');
        const addresses = node.withoutIpv6();
        if (addresses.length > 0)
          log.warn({ addresses, setting: 'listen' }, 'not listening: this machine has no IPv6');
        log.info(
          { peerId: libp2p.peerId.toString(), cipher: cipher.name, cipherReason: cipher.reason },
          'node started',
        );
      },
      stop: async () => libp2p.stop(),
    },
  ];
}

export interface Serving {
  readonly components: readonly Component[];
  readonly registrations: Registrations;
  readonly reservations: Reservations;
}

export interface ServingOptions {
  /** The direct addresses that are registered. Default: those on which the node listens. */
  readonly announced?: readonly string[];
  /** The relays on which reservations are held. Default: those of the configuration. */
  readonly relays?: readonly string[];
  /** Addresses in `relays` that only this device can use. */
  readonly unlistedRelays?: ReadonlySet<string>;
  /** Reservations held at the same time. Default 2. */
  readonly reservations?: number;
  /** What the device is registered as, besides a device. */
  readonly role?: string;
  /** Called after each pull and each push of another device. */
  readonly onPull?: (event: PullEvent) => void;
  readonly onPush?: (event: PushEvent) => void;
  /** Decides whether there is space for what devices push. Default: everything is tried to be stored. */
  readonly storage?: PushStorage;
  /** Limits of pulls and pushes. Default: those of the memory of the process. */
  readonly limits?: ServingLimits;
  /** Whether the device is not registered while it has no address. Default false. */
  readonly requiresAddress?: boolean;
}

/**
 * The components that let other devices sync with this one: the servers of pulls and pushes, reservations, and
 * registrations. The database must be durable.
 */
export function createServing(
  config: PeerConfig,
  history: History,
  node: PeerNode,
  log: Logger,
  {
    announced,
    relays = config.relays,
    unlistedRelays,
    reservations: wanted,
    role,
    requiresAddress,
    ...hooks
  }: ServingOptions = {},
): Serving {
  const { libp2p } = node;
  const { store } = history;
  const isAnyoneAnswered = answersAnyone(config);
  const reservations = createReservations({
    node,
    relays,
    unlisted: unlistedRelays,
    wanted,
    log,
    onChange: () => registrations.changed(),
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    random: Math.random,
  });
  const registrations = createOwnRegistrations(config, node, {
    addresses() {
      const circuits = reservations.addresses();
      return [...circuits, ...(announced ?? directAddresses(node, circuits.length === 0))];
    },
    yields: false,
    role,
    requiresAddress,
    history,
    log,
  });
  const changes = createChangeWatch({
    addresses: () => announced ?? directAddresses(node, true),
    onChange: () => registrations.changed(),
    nowMs: monotonicMs,
    nowUnixMs: Date.now,
  });
  let stopPulls: (() => Promise<void>) | undefined;
  let pushes: PushServer | undefined;
  const components: Component[] = [
    {
      name: 'pull server',
      start: async () => {
        if (config.allowedPeers !== undefined)
          log.info({ allowedPeers: config.allowedPeers.size }, ONLY_ALLOWED_PEERS);
        else if (config.serveTo === undefined && isAnyoneAnswered)
          log.info({ serveTo: 'anyone' }, NO_TRACKER);
        store.raiseSequences();
        const deps = {
          libp2p,
          store,
          membership: createMembers(config, history),
          answersAnyone: isAnyoneAnswered,
          allowedPeers: config.allowedPeers,
          userId: config.userId,
          log,
          nowMs: monotonicMs,
          ...hooks,
        };
        stopPulls = await servePulls(deps);
        pushes = await servePushes(deps);
      },
      // A pull that is interrupted continues from its cursor.
      drain: async (signal) => pushes?.drain(signal),
      stop: async () => void (await Promise.all([stopPulls?.(), pushes?.stop()])),
    },
    { name: 'reservations', start: async () => reservations.start(), stop: async () => reservations.stop() },
    {
      name: 'registration',
      start: async () => {
        registrations.start();
        changes.start();
      },
      async stop() {
        changes.stop();
        await registrations.stop();
      },
    },
  ];
  return { components, registrations, reservations };
}

/** The listen addresses of the node. Loopback addresses are included only when the device has no other address. */
function directAddresses({ libp2p }: PeerNode, hasNoCircuit: boolean): string[] {
  const all = libp2p.getMultiaddrs().map((address) => address.toString());
  const direct = all.filter((address) => !address.includes('/p2p-circuit'));
  const reachable = direct.filter((address) => !isLoopback(address));
  return reachable.length > 0 || !hasNoCircuit ? reachable : direct;
}
