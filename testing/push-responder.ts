// A device that accepts pushes, in the process of the test, and the list of its tracker.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { join } from 'node:path';
import type { Logger } from '../services/shared/log.ts';
import { monotonicMs } from '../services/shared/clock.ts';
import { createPeerBook, type KnownPeer } from '../services/peer/discovery/peer-book.ts';
import type { TrackerClient } from '../services/peer/discovery/tracker-client.ts';
import { openDatabase } from '../services/peer/history/database.ts';
import { createStore } from '../services/peer/history/store.ts';
import { createPeerNode } from '../services/peer/network/node.ts';
import type { PushEvent } from '../services/peer/sync/push-outcomes.ts';
import { type PushServeDeps, type PushServer, servePushes } from '../services/peer/sync/push-serve.ts';
import { onCleanup } from './cleanup.ts';
import {
  createTestLog,
  createTestMembership,
  makeDirectory,
  readEntries,
  type TestDevice,
  testSwarmKey,
} from './peer.ts';
import { type PushClient, startPushClient } from './push-client.ts';
import { WAIT_TIMEOUT_MS } from './wait.ts';
import { testWireIo } from './wire-io.ts';

export interface ResponderOptions extends Partial<
  Pick<PushServeDeps, 'answersAnyone' | 'allowedPeers' | 'storage' | 'limits' | 'idleTimeoutMs' | 'answerMs'>
> {
  /** The list of the tracker. Default: the devices that `listed` has. */
  readonly list?: () => Promise<KnownPeer[]>;
  /** Default: a new database. */
  readonly databasePath?: string;
  readonly log?: Logger;
}

export interface Responder extends TestDevice, PushServer {
  readonly address: string;
  readonly databasePath: string;
  /** The devices that the tracker lists. */
  readonly listed: KnownPeer[];
  readonly events: PushEvent[];
  readonly lines: Array<{ message: string } & Record<string, unknown>>;
  /** Whether a stream of a push is open. */
  isBusy(): boolean;
  /** The ids of the stored entries, sorted. */
  ids(): string[];
}

/** The record of a device that a tracker lists for the user `ada`. */
export function listedDevice(peerId: string, deviceId: string | undefined, userId = 'ada'): KnownPeer {
  return {
    peerId,
    addresses: [],
    userId,
    deviceId,
    hostname: undefined,
    lastSeenUnixSeconds: 1_700_000_000,
  };
}

/** Starts a device that accepts pushes for the user `ada`. */
export async function startResponder(options: ResponderOptions = {}): Promise<Responder> {
  const listed: KnownPeer[] = [];
  const { list = async () => listed, answersAnyone = false, databasePath, ...rest } = options;
  const path = databasePath ?? join(makeDirectory(), 'history.db');
  const identity = await generateKeyPair('Ed25519');
  const node = await createPeerNode({
    io: testWireIo,
    identity,
    swarmKey: testSwarmKey,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    version: '0.0.0',
  });
  // With this clock its numbers start at 1, so that tests can name them.
  const database = openDatabase(path, () => 0, { isDurable: true });
  onCleanup(() => database.close());
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  const store = createStore(database);
  const peerId = node.libp2p.peerId.toString();
  const device = { node, database, store, peerBook: createPeerBook(database), peerId };
  const tracker = { list: async () => ({ peers: await list(), skipped: 0 }) } as unknown as TrackerClient;
  const { log, lines } = createTestLog();
  const events: PushEvent[] = [];
  const server = await servePushes({
    libp2p: node.libp2p,
    store,
    membership: createTestMembership(device, [tracker]),
    userId: 'ada',
    answersAnyone,
    log,
    nowMs: monotonicMs,
    onPush: (event) => void events.push(event),
    // The machine may be slow.
    answerMs: WAIT_TIMEOUT_MS,
    ...rest,
  });
  onCleanup(async () => server.stop());
  return {
    ...device,
    ...server,
    databasePath: path,
    address: String(node.libp2p.getMultiaddrs()[0]),
    listed,
    events,
    lines,
    isBusy: () =>
      node.libp2p
        .getConnections()
        .some(({ streams }) => streams.some(({ protocol }) => protocol.includes('entries-push'))),
    ids: () =>
      readEntries(store)
        .map(({ entry_id: id }) => id)
        .toSorted(),
  };
}

/** A client of `rr` that the tracker and the peer book of the responder have with this device id, unless it is `null`. */
export async function startMember(responder: Responder, deviceId: string | null = 'laptop') {
  const client = await startPushClient({ swarmKey: testSwarmKey });
  if (deviceId !== null) responder.listed.push(listedDevice(client.peerId, deviceId));
  responder.peerBook.remember(responder.listed);
  const connection = await client.connect(responder.address);
  const push = async (
    ...[request, options]: Parameters<PushClient['push']> extends [unknown, ...infer Rest] ? Rest : never
  ) => client.push(connection, request, options);
  return { ...client, connection, push };
}
