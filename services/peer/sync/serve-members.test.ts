import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import {
  createTestLog,
  createTestMembership,
  makeEntries,
  startDevice,
  type TestDevice,
} from '../../../testing/peer.ts';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { monotonicMs } from '../../shared/clock.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';
import type { TrackerClient } from '../discovery/tracker-client.ts';
import { servePulls } from './serve.ts';
import { readToEnd, StreamCutError, writeAndClose } from './stream-io.ts';

afterEach(cleanUp);

const PLAIN = '/rustory/sync-pull/1.0.0';
const timeouts = { idleTimeoutMs: WAIT_TIMEOUT_MS };

const listedAs = (peerId: string, userId: string): KnownPeer => ({
  peerId,
  addresses: [],
  userId,
  deviceId: 'laptop',
  hostname: undefined,
  lastSeenUnixSeconds: 1_700_000_000,
});

interface ServerOptions {
  readonly answersAnyone?: boolean;
  readonly allowedPeers?: ReadonlySet<string>;
  /** The list of the tracker. */
  readonly list?: () => Promise<KnownPeer[]>;
}

async function startServer({
  answersAnyone = false,
  allowedPeers,
  list = async () => [],
}: ServerOptions = {}) {
  const device = await startDevice(['/ip4/127.0.0.1/tcp/0']);
  device.store.insert(makeEntries(10));
  const { log, lines } = createTestLog();
  const tracker = { list: async () => ({ peers: await list(), skipped: 0 }) } as unknown as TrackerClient;
  const membership = createTestMembership(device, [tracker]);
  const { libp2p } = device.node;
  const { store } = device;
  onCleanup(
    await servePulls({ libp2p, store, membership, answersAnyone, allowedPeers, log, nowMs: monotonicMs }),
  );
  return { ...device, lines };
}

/** The response to a pull as text; empty when the stream was closed without a byte. */
async function pullAs(client: TestDevice, server: TestDevice, request: object): Promise<string> {
  const stream = await client.node.libp2p.dialProtocol(server.node.libp2p.getMultiaddrs(), PLAIN);
  await writeAndClose(stream, Buffer.from(JSON.stringify(request)), timeouts);
  try {
    return (await readToEnd(stream, 1_000_000, timeouts)).toString();
  } catch (error) {
    // The stream was closed before the first read.
    if (error instanceof StreamCutError) return '';
    throw error;
  }
}

async function countEntries(client: TestDevice, server: TestDevice, request: object): Promise<number> {
  const response = await pullAs(client, server, request);
  return (JSON.parse(response) as { entries: unknown[] }).entries.length;
}

const ALL = { cursor: 0, delete_cursor: 0, limit: 1_000 };

/** What the device knows to be stored on each peer: entries and deletions. */
function readAcknowledged({ database }: TestDevice) {
  const read = (sql: string) => database.sqlite.prepare(sql).all();
  return {
    entries: read('SELECT last_pushed_seq AS seq FROM peer_push_state').map(({ seq }) => seq),
    deletions: read('SELECT last_pushed_delete_seq AS seq FROM peer_delete_push_state').map(({ seq }) => seq),
  };
}

describe('a device that answers members', () => {
  test('answers a device that the tracker lists for its user', async () => {
    const client = await startDevice();
    const server = await startServer({ list: async () => [listedAs(client.peerId, 'ada')] });
    expect(await countEntries(client, server, ALL)).toBe(10);
  });

  test('closes the stream of another device without a byte, and names the remedy in the first log line', async () => {
    const clients = [await startDevice(), await startDevice()];
    const server = await startServer();
    for (const client of clients) expect(await pullAs(client, server, ALL)).toBe('');
    const refusals = server.lines.filter(({ message }) => message === 'pull refused');
    expect(refusals.map(({ peer }) => peer)).toEqual(clients.map(({ peerId }) => peerId));
    expect(refusals.map(({ advice }) => typeof advice)).toEqual(['string', 'undefined']);
    expect(refusals[0]?.['advice']).toContain('serve_to = "anyone"');
  });

  test('logs repeated refusals of one device once a minute', async () => {
    const client = await startDevice();
    const server = await startServer();
    for (let request = 0; request < 5; request += 1) expect(await pullAs(client, server, ALL)).toBe('');
    expect(server.lines.filter(({ message }) => message === 'pull refused')).toHaveLength(1);
  });

  test('answers others while unknown devices wait for a tracker, and refuses these in the end', async () => {
    let requests = 0;
    const server = await startServer({
      async list() {
        requests += 1;
        return new Promise(() => {});
      },
    });
    const [member, ...unknown] = [await startDevice(), await startDevice(), await startDevice()] as const;
    server.peerBook.remember([listedAs(member.peerId, 'ada')]);
    const refusedAll = Promise.all(unknown.map(async (client) => pullAs(client, server, ALL)));
    await until(() => requests > 0, 'the list is requested');
    expect(await countEntries(member, server, ALL)).toBe(10);
    expect(await refusedAll).toEqual(['', '']);
  });

  test('refuses a revoked device that the tracker still lists', async () => {
    const client = await startDevice();
    const server = await startServer({ list: async () => [listedAs(client.peerId, 'ada')] });
    expect(await countEntries(client, server, ALL)).toBe(10);
    server.database.sqlite
      .prepare('INSERT INTO peer_revocations(peer_id, revoked_at, ticket_id) VALUES (?, 1, ?)')
      .run(client.peerId, 'ticket');
    expect(await pullAs(client, server, ALL)).toBe('');
  });
});

describe('a device that answers anyone', () => {
  test('answers unknown devices, and keeps no record of what they have', async () => {
    const server = await startServer({ answersAnyone: true });
    const client = await startDevice();
    expect(await countEntries(client, server, { ...ALL, cursor: 4 })).toBe(6);
    expect(readAcknowledged(server)).toEqual({ entries: [], deletions: [] });
  });

  test('answers the next request of a device whose request was not valid', async () => {
    const server = await startServer({ answersAnyone: true });
    const client = await startDevice();
    expect(await pullAs(client, server, { cursor: -1, limit: 1 })).toBe('');
    expect(await countEntries(client, server, ALL)).toBe(10);
  });
});

describe('a device with allowed_peers', () => {
  test('refuses a member and an unknown device that are not in the list, without a request to the tracker', async () => {
    let requests = 0;
    const [member, unknown] = [await startDevice(), await startDevice()];
    const server = await startServer({
      allowedPeers: new Set(['another']),
      async list() {
        requests += 1;
        return [listedAs(member.peerId, 'ada')];
      },
    });
    for (const client of [member, unknown]) expect(await pullAs(client, server, ALL)).toBe('');
    expect(requests).toBe(0);
    const refusals = server.lines.filter(({ message }) => message === 'pull refused');
    expect(refusals.map(({ reason }) => reason)).toEqual(Array(2).fill('the peer is not in allowed_peers'));
    expect(refusals.map(({ advice }) => typeof advice)).toEqual(['string', 'undefined']);
    expect(refusals[0]?.['advice']).toContain('rr 0.1');
  });

  test('answers a member in the list, and not a device in the list that is no member', async () => {
    const [member, other] = [await startDevice(), await startDevice()];
    const allowedPeers = new Set([member.peerId, other.peerId]);
    const server = await startServer({ allowedPeers, list: async () => [listedAs(member.peerId, 'ada')] });
    expect(await countEntries(member, server, ALL)).toBe(10);
    expect(await pullAs(other, server, ALL)).toBe('');
  });

  test('answers every device in the list with serve_to = "anyone", and no other', async () => {
    const [client, other] = [await startDevice(), await startDevice()];
    const server = await startServer({ answersAnyone: true, allowedPeers: new Set([client.peerId]) });
    expect(await countEntries(client, server, ALL)).toBe(10);
    expect(await pullAs(other, server, ALL)).toBe('');
  });
});

/** A member, and a server with two deletions. */
async function startMember() {
  const client = await startDevice();
  const server = await startServer({ list: async () => [listedAs(client.peerId, 'ada')] });
  server.store.deleteEntries(['laptop-0', 'laptop-1'], {
    user_id: 'ada',
    device_id: 'laptop',
    deleted_at: 5,
  });
  return { client, server };
}

describe('the cursors of a member', () => {
  test('acknowledge what it has, and never move back', async () => {
    const { client, server } = await startMember();
    await pullAs(client, server, { cursor: 7, delete_cursor: 1, limit: 1_000 });
    expect(readAcknowledged(server)).toEqual({ entries: [7], deletions: [1] });
    await pullAs(client, server, { cursor: 3, delete_cursor: 2, limit: 1_000 });
    expect(readAcknowledged(server)).toEqual({ entries: [7], deletions: [2] });
    await pullAs(client, server, ALL);
    expect(readAcknowledged(server)).toEqual({ entries: [7], deletions: [2] });
  });

  test.each([
    ['cursor', { cursor: 11, delete_cursor: 2, limit: 1_000 }],
    ['delete_cursor', { cursor: 2, delete_cursor: 3, limit: 1_000 }],
    ['highest possible cursor', { cursor: Number.MAX_SAFE_INTEGER, delete_cursor: 0, limit: 1 }],
  ])('acknowledge nothing when the %s is above what the database ever had', async (_, request) => {
    const { client, server } = await startMember();
    // It is answered with what is stored after it, because new entries are always above old cursors.
    const { entries } = JSON.parse(await pullAs(client, server, request)) as { entries: unknown[] };
    expect(entries).toHaveLength(request.cursor === 2 ? 8 : 0);
    expect(readAcknowledged(server)).toEqual({ entries: [], deletions: [] });
    expect(server.lines).toContainEqual(
      expect.objectContaining({ peer: client.peerId, message: expect.stringContaining('older copy') }),
    );
    expect(server.store.highRequestsSince(0)).toMatchObject([
      { peerId: client.peerId, cursor: request.cursor },
    ]);
    expect(await countEntries(client, server, ALL)).toBe(8);
  });

  test('acknowledge the same again after its history was requested from the start', async () => {
    const { client, server } = await startMember();
    const request = { cursor: 7, delete_cursor: 1, limit: 1_000 };
    await pullAs(client, server, request);
    server.store.resetCursors(client.peerId);
    expect(readAcknowledged(server)).toEqual({ entries: [0], deletions: [0] });
    await pullAs(client, server, request);
    expect(readAcknowledged(server)).toEqual({ entries: [7], deletions: [1] });
  });

  test('are accepted up to the last entry, also when that entry no longer exists', async () => {
    const { client, server } = await startMember();
    server.database.sqlite.exec('DELETE FROM entries WHERE ingest_seq > 5');
    expect(await countEntries(client, server, { cursor: 10, delete_cursor: 2, limit: 1_000 })).toBe(0);
    expect(readAcknowledged(server)).toEqual({ entries: [10], deletions: [2] });
  });
});
