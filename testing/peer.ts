// Test support for the peer: real nodes on loopback, a stock relay, and devices with a database each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { circuitRelayServer } from '@libp2p/circuit-relay-v2';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { createLibp2p } from 'libp2p';
import type { Logger } from '../services/shared/log.ts';
import { monotonicMs, unixSeconds } from '../services/shared/clock.ts';
import { onCleanup } from './cleanup.ts';
import { createStockStack, STOCK_MPLEX, STOCK_YAMUX } from './stock-stack.ts';
import { until, WAIT_TIMEOUT_MS } from './wait.ts';
import { testWireIo } from './wire-io.ts';
import { generateSwarmKey, type SwarmKey } from '../services/private-network/key.ts';
import { createPeerBook, type PeerBook } from '../services/peer/discovery/peer-book.ts';
import type { TrackerClient } from '../services/peer/discovery/tracker-client.ts';
import { createMembership, type Membership } from '../services/peer/sync/membership.ts';
import { type Database, openDatabase } from '../services/peer/history/database.ts';
import type { DialStrategy } from '../services/peer/network/addresses.ts';
import { createDialer, type Dialer } from '../services/peer/network/dial.ts';
import type { Entry } from '../services/peer/history/entry.ts';
import { createPeerNode, type PeerNode } from '../services/peer/network/node.ts';
import type { PullDeps } from '../services/peer/sync/pull.ts';
import { PROBE_TIMINGS, type ProbeTimings } from '../services/peer/network/relay-probe.ts';
import { RELAY_TIMINGS, type RelayTimings } from '../services/peer/network/relay-state.ts';
import { createReservations } from '../services/peer/network/reservation.ts';
import { servePulls } from '../services/peer/sync/serve.ts';
import { createStore, type Store } from '../services/peer/history/store.ts';

/** The default swarm key of all nodes of a test. */
export const testSwarmKey = generateSwarmKey();

/** A temporary directory that is removed after the test. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-peer-'));
  onCleanup(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Opens or creates a database, and closes it after the test unless the test has closed it. */
export function openStore(
  path: string,
  nowUnixMs?: () => number,
): { readonly database: Database; readonly store: Store } {
  const database = openDatabase(path, nowUnixMs);
  onCleanup(() => {
    if (database.sqlite.isOpen) database.close();
  });
  return { database, store: createStore(database) };
}

export function makeEntries(count: number, device = 'laptop', commandLength = 10): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    entry_id: `${device}-${position}`,
    device_id: device,
    user_id: 'ada',
    ts: 1_700_000_000 + position,
    cmd: `echo ${position} `.padEnd(commandLength, 'x'),
    cwd: '/home/ada',
    exit_code: position % 3,
    duration_ms: position,
    shell: 'bash',
    hostname: `${device}.lan`,
    version: '0.1.0',
  }));
}

export function readEntries(store: Store): Entry[] {
  const entries: Entry[] = [];
  store.readAfter(0, Number.MAX_SAFE_INTEGER, ({ entry }) => entries.push(entry) > 0);
  return entries;
}

export interface TestRelayOptions {
  readonly identity?: PrivateKey;
  readonly port?: number;
  /** Multiaddrs to listen on. Default: `port` on 127.0.0.1. */
  readonly listen?: readonly string[];
  /** Whether the relay supports mplex and not yamux. Default false. */
  readonly isMplexOnly?: boolean;
  /** Lifetime of a reservation in milliseconds. Default: that of the library. */
  readonly reservationMs?: number;
  /** Maximum bytes per circuit and direction. Default: unlimited. */
  readonly circuitBytes?: number;
  readonly swarmKey?: SwarmKey;
  /** Whether the node supports the relay protocol. Default true. */
  readonly hasHop?: boolean;
}

export interface TestRelay {
  readonly libp2p: Libp2p;
  readonly identity: PrivateKey;
  readonly address: string;
  /** All its addresses; `address` is the first. */
  readonly addresses: readonly string[];
  readonly port: number;
}

/** The relay server of the library, which is the reference for the wire protocol. */
export async function startTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const identity = options.identity ?? (await generateKeyPair('Ed25519'));
  const limit = options.circuitBytes;
  const { reservationMs } = options;
  const reservations =
    limit === undefined
      ? { applyDefaultLimit: false }
      : { defaultDataLimit: BigInt(limit), defaultDurationLimit: 900_000 };
  const libp2p = await createLibp2p({
    ...createStockStack({
      identity,
      key: options.swarmKey ?? testSwarmKey,
      muxers: options.isMplexOnly === true ? [STOCK_MPLEX] : [STOCK_YAMUX, STOCK_MPLEX],
    }),
    addresses: { listen: [...(options.listen ?? [`/ip4/127.0.0.1/tcp/${options.port ?? 0}`])] },
    services: {
      identify: identify(),
      ping: ping(),
      ...(options.hasHop === false
        ? {}
        : {
            relay: circuitRelayServer({
              reservations: {
                maxReservations: 64,
                ...(reservationMs !== undefined && { reservationTtl: reservationMs }),
                ...reservations,
              },
            }),
          }),
    },
  });
  onCleanup(async () => libp2p.stop());
  const addresses = libp2p.getMultiaddrs().map(String);
  const [address = ''] = addresses;
  return { libp2p, identity, address, addresses, port: Number(address.split('/')[4]) };
}

export interface TestDevice {
  readonly node: PeerNode;
  readonly database: Database;
  readonly store: Store;
  readonly peerBook: PeerBook;
  readonly peerId: string;
}

/** A started node with its own database. */
export async function startDevice(
  listen: readonly string[] = [],
  swarmKey: SwarmKey = testSwarmKey,
): Promise<TestDevice> {
  const identity = await generateKeyPair('Ed25519');
  const node = await createPeerNode({ io: testWireIo, identity, swarmKey, listen, version: '0.0.0' });
  // With this clock its numbers start at 1, so that tests can name them.
  const database = openDatabase(join(makeDirectory(), 'history.db'), () => 0);
  onCleanup(() => database.close());
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  return {
    node,
    database,
    store: createStore(database),
    peerBook: createPeerBook(database),
    peerId: node.libp2p.peerId.toString(),
  };
}

/** A logger that collects its lines. */
export function createTestLog(): {
  log: Logger;
  lines: Array<{ message: string } & Record<string, unknown>>;
} {
  const lines: Array<{ message: string } & Record<string, unknown>> = [];
  const write = (...[fields, message]: [fields: object, message: string] | [message: string]): void =>
    void lines.push(typeof fields === 'string' ? { message: fields } : { ...fields, message: message ?? '' });
  const log = { debug: write, info: write, warn: write, error: write, trace: write, fatal: write };
  return { log: log as unknown as Logger, lines };
}

/** Timings of the probe and of the reservations, short for tests. */
export const SHORT_PROBE_TIMINGS: ProbeTimings = {
  ...PROBE_TIMINGS,
  networkIntervalMs: 10,
  idleTimeoutMs: 200,
};
export const SHORT_RELAY_TIMINGS: RelayTimings = { ...RELAY_TIMINGS, backoffBaseMs: 40, backoffCapMs: 200 };

export interface ServingDeviceOptions {
  /** Multiaddrs to listen on. Default: none. */
  readonly listen?: readonly string[];
  /** The addresses of the machine as text. Default: those of the operating system. */
  readonly network?: () => string;
  readonly relayTimings?: RelayTimings;
  readonly probeTimings?: ProbeTimings;
  /** Circuit addresses to wait for. Default: one for each relay. */
  readonly wanted?: number;
}

/** A device that serves pulls and holds a reservation on each of the relays. */
export async function startServingDevice(relays: readonly string[], options: ServingDeviceOptions = {}) {
  const device = await startDevice(options.listen);
  const { log, lines } = createTestLog();
  const { libp2p } = device.node;
  const membership = createTestMembership(device);
  onCleanup(
    await servePulls({
      libp2p,
      store: device.store,
      membership,
      answersAnyone: true,
      log,
      nowMs: monotonicMs,
    }),
  );
  const reservations = createReservations({
    node: device.node,
    relays,
    log,
    onChange: () => {},
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    random: () => 0.5,
    network: options.network,
    probeTimings: options.probeTimings ?? SHORT_PROBE_TIMINGS,
    relayTimings: options.relayTimings ?? SHORT_RELAY_TIMINGS,
  });
  reservations.start();
  onCleanup(async () => reservations.stop());
  await until(
    () => reservations.addresses().length >= (options.wanted ?? relays.length),
    'the reservations are held',
  );
  return { ...device, reservations, lines };
}

/** The members that a device of the user `ada` answers. */
export function createTestMembership(
  { store, peerBook }: TestDevice,
  trackers: readonly TrackerClient[] = [],
): Membership {
  return createMembership({
    trackers,
    peerBook,
    isRevoked: (peerId) => store.isRevoked(peerId),
    userId: 'ada',
    nowMs: monotonicMs,
  });
}

/** A dialer that uses the real clock. */
export function createTestDialer(
  node: PeerNode,
  relays: readonly string[],
  strategy: DialStrategy = 'relay-first',
  nowMs: () => number = monotonicMs,
): Dialer {
  return createDialer({
    node,
    relays,
    strategy,
    nowMs,
    random: () => 0.5,
    sleep: async (ms, signal) => sleep(ms, undefined, { signal }),
  });
}

/** The dependencies of a pull by the device, with a short idle timeout. */
export function createTestPullDeps({ node, store }: TestDevice, relays: readonly string[] = []): PullDeps {
  const dialer = createTestDialer(node, relays);
  const retry = {
    attempts: 3,
    timeoutBaseMs: WAIT_TIMEOUT_MS,
    timeoutCapMs: WAIT_TIMEOUT_MS,
    backoffBaseMs: 10,
  };
  return {
    dialer,
    store,
    retry,
    own: { userId: 'ada', trackers: ['http://tracker.test'] },
    // The machine may be slow.
    startSlot: () => AbortSignal.timeout(WAIT_TIMEOUT_MS),
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    sleep: async (ms, signal) => sleep(ms, undefined, { ...(signal && { signal }) }),
  };
}
