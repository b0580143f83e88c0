// Deletions between devices. The peers that are not ours follow the description of `rr`, not our code.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import {
  createTestPullDeps,
  makeEntries,
  readEntries,
  startDevice,
  startServingDevice,
  type TestDevice,
} from '../../../testing/peer.ts';
import { startPullServer, writeJson } from '../../../testing/pull-server.ts';
import { WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import type { Deletion } from '../history/deletion.ts';
import { toWire } from '../history/entry.ts';
import { pull } from './pull.ts';
import { readToEnd, writeAndClose } from './stream-io.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const deletedBy = { user_id: 'ada', device_id: 'desktop', deleted_at: 1_700_000_000 };
const deletion = (id: string, deletedAt = deletedBy.deleted_at): Deletion => ({
  ...deletedBy,
  entry_id: id,
  deleted_at: deletedAt,
});

const addressesOf = ({ node }: TestDevice): string[] => node.libp2p.getMultiaddrs().map(String);
const ids = ({ store }: TestDevice): string[] => readEntries(store).map(({ entry_id }) => entry_id);

async function pullFrom(client: TestDevice, server: TestDevice, limit = 1000) {
  const target = { peerId: server.peerId, addresses: addressesOf(server) };
  const report = await pull(target, createTestPullDeps(client), { limit });
  expect(report.error).toBeUndefined();
  return report;
}

/** Sends a request as a client that is not ours, and returns the response. */
async function ask(
  client: TestDevice,
  server: TestDevice,
  request: object,
): Promise<Record<string, unknown>> {
  const { dialer } = createTestPullDeps(client);
  const target = { peerId: server.peerId, addresses: addressesOf(server) };
  const { connection } = await dialer.connect(target, WAIT_TIMEOUT_MS, undefined);
  const stream = await connection.newStream('/rustory/sync-pull/1.0.0');
  const options = { idleTimeoutMs: WAIT_TIMEOUT_MS };
  await writeAndClose(stream, Buffer.from(JSON.stringify(request)), options);
  return JSON.parse(String(await readToEnd(stream, 32 * 1024 * 1024, options))) as Record<string, unknown>;
}

describe('a deletion', () => {
  test('spreads through a device in the middle, also to a device that never had the entry', async () => {
    const [first, middle, last] = await Promise.all([
      startServingDevice([], { listen: LOOPBACK }),
      startServingDevice([], { listen: LOOPBACK }),
      startServingDevice([], { listen: LOOPBACK }),
    ]);
    first.store.insert(makeEntries(4));
    await pullFrom(middle, first);
    last.store.insert(makeEntries(2));
    first.store.deleteEntries(['laptop-1', 'laptop-3'], deletedBy);
    expect(await pullFrom(middle, first)).toMatchObject({ entries: 0, deleted: 2 });
    expect(await pullFrom(last, middle)).toMatchObject({ deleted: 1 });
    for (const device of [first, middle, last]) expect(ids(device)).toEqual(['laptop-0', 'laptop-2']);

    // The ring is closed, and a later round transfers nothing.
    expect(await pullFrom(first, last)).toMatchObject({ deleted: 0 });
    const before = [first, middle, last].map(({ store }) => store.highestStored());
    await pullFrom(middle, first);
    await pullFrom(last, middle);
    await pullFrom(first, last);
    expect([first, middle, last].map(({ store }) => store.highestStored())).toEqual(before);
  });

  test('prevents that a device of rr 0.1 restores the entry, and its cursor moves on', async () => {
    const history = makeEntries(3);
    const requests: unknown[] = [];
    const { target } = await startPullServer(async (stream, request) => {
      requests.push(request);
      const entries = history.slice(request.cursor, request.cursor + 2);
      const nextCursor = entries.length === 0 ? null : request.cursor + entries.length;
      await writeJson(stream, { entries: entries.map(toWire), next_cursor: nextCursor });
    });
    const client = await startDevice();
    client.store.insert(history.slice(0, 1));
    client.store.deleteEntries(['laptop-0', 'laptop-1'], deletedBy);
    const report = await pull(target, createTestPullDeps(client), { limit: 1000 });
    expect(report).toMatchObject({ entries: 3, duplicates: 2, error: undefined });
    expect(ids(client)).toEqual(['laptop-2']);
    expect(client.store.cursorsOf(target.peerId)).toEqual({ cursor: 3, deleteCursor: 0 });
    expect(requests[0]).toEqual({ cursor: 0, delete_cursor: 0, limit: 1000 });
  });

  test('is stored when other deletions and entries of its page are not valid', async () => {
    const { target } = await startPullServer(async (stream, { cursor }) => {
      if (cursor > 0) return writeJson(stream, { entries: [], next_cursor: null });
      return writeJson(stream, {
        entries: [null],
        next_cursor: 1,
        deletions: [deletion('laptop-0'), { nonsense: true }, deletion('x')],
        next_delete_cursor: 3,
      });
    });
    const client = await startDevice();
    client.store.insert(makeEntries(2));
    const report = await pull(target, createTestPullDeps(client), { limit: 1000 });
    expect(report).toMatchObject({
      error: undefined,
      deleted: 1,
      invalid: { entries: 1, deletions: 1, text: 'The entry is not an object.' },
    });
    expect(ids(client)).toEqual(['laptop-1']);
    expect(client.store.cursorsOf(target.peerId)).toEqual({ cursor: 1, deleteCursor: 3 });
  });

  test('arrives page after page until a page has neither deletions nor entries', async () => {
    const server = await startServingDevice([], { listen: LOOPBACK });
    server.store.insert(makeEntries(25));
    server.store.insertPage(
      { entries: [], deletions: Array.from({ length: 25 }, (_, index) => deletion(`gone-${index}`)) },
      { peerId: 'p' },
    );
    const client = await startDevice();
    expect(await pullFrom(client, server, 10)).toMatchObject({ entries: 25 });
    expect(client.store.cursorsOf(server.peerId)).toEqual({ cursor: 25, deleteCursor: 25 });
    expect(client.store.highestStored()).toEqual({ cursor: 25, deleteCursor: 25 });
  });
});

const idsOf = (list: unknown): string[] =>
  (list as Array<{ entry_id: string }>).map(({ entry_id: id }) => id);

async function startServer() {
  const server = await startServingDevice([], { listen: LOOPBACK });
  server.store.insert(makeEntries(5));
  server.store.insertPage(
    { entries: [], deletions: ['a', 'b', 'c'].map((id) => deletion(id)) },
    { peerId: 'p' },
  );
  return { server, client: await startDevice() };
}

describe('a response', () => {
  test('has the deletions first, which use up its limit', async () => {
    const { server, client } = await startServer();
    const response = await ask(client, server, { cursor: 0, limit: 4, delete_cursor: 1 });
    expect(response['deletions']).toEqual([deletion('b'), deletion('c')]);
    expect(idsOf(response['entries'])).toEqual(['laptop-0', 'laptop-1']);
    expect(response).toMatchObject({ next_cursor: 2, next_delete_cursor: 3 });
    const full = await ask(client, server, { cursor: 0, limit: 3, delete_cursor: 0 });
    expect(full).toMatchObject({ entries: [], next_cursor: null, next_delete_cursor: 3 });
    const empty = await ask(client, server, { cursor: 5, limit: 3, delete_cursor: 3 });
    expect(empty).toEqual({ entries: [], next_cursor: null, deletions: [], next_delete_cursor: null });
  });

  test('to a request without delete_cursor has entries only, all of its limit', async () => {
    const { server, client } = await startServer();
    const response = await ask(client, server, { cursor: 0, limit: 3 });
    expect(Object.keys(response)).toEqual(['entries', 'next_cursor']);
    expect(idsOf(response['entries'])).toEqual(['laptop-0', 'laptop-1', 'laptop-2']);
    expect(response).toMatchObject({ next_cursor: 3 });
  });

  test('is limited in size also when its deletions are long', async () => {
    const { server, client } = await startServer();
    const long = Array.from({ length: 900 }, (_, index) => ({
      ...deletion(`${index}-`.padEnd(4000, 'x')),
      user_id: 'u'.repeat(4000),
    }));
    server.store.insertPage({ entries: [], deletions: long }, { peerId: 'p' });
    const response = await ask(client, server, { cursor: 0, limit: 1000, delete_cursor: 0 });
    expect(JSON.stringify(response).length).toBeLessThan(4.1 * 1024 * 1024);
    expect(response).toMatchObject({ entries: [], next_cursor: null });
    await pullFrom(client, server);
    expect(client.store.highestStored()).toEqual({ cursor: 5, deleteCursor: 903 });
  });
});
