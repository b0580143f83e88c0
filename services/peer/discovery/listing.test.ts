// The list of a tracker as a hostile or odd tracker sends it, and as long lists arrive.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { peerIds } from '../../../testing/peer-ids.ts';
import { createTrackerClient } from './tracker-client.ts';

afterEach(cleanUp);

const NOW = 1_800_000_000;
const MEGABYTE = 1024 * 1024;

/** A tracker whose listings this function writes, and the queries that it received. */
async function startTracker(respond: (query: URLSearchParams, response: ServerResponse) => void) {
  const queries: string[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const { searchParams } = new URL(request.url ?? '', 'http://tracker');
    searchParams.delete('user_id');
    queries.push(searchParams.toString());
    response.on('error', () => {});
    respond(searchParams, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const clock = { ms: 0 };
  const options = { token: undefined, timeoutMs: 60_000, nowMs: () => clock.ms };
  const client = createTrackerClient({ url: `http://127.0.0.1:${port}`, ...options });
  const list = async () => {
    const { peers, ...rest } = await client.list('ada');
    return { ids: peers.map(({ peerId }) => peerId), peers, ...rest };
  };
  return { list, queries, clock };
}

const record = (peerId: string, addrs: readonly unknown[] = ['/ip4/10.0.0.1/tcp/1']) => ({
  peer_id: peerId,
  addrs,
  meta: { user_id: 'ada' },
  last_seen_unix: NOW,
});

const send = (response: ServerResponse, body: unknown): void => void response.end(JSON.stringify(body));

describe('a list in pages', () => {
  test('is read to its end, with every peer once', async () => {
    const ids = peerIds(25);
    const { list, queries } = await startTracker((query, response) => {
      const from = Number(query.get('cursor') ?? 0);
      const next = from + 10 < ids.length ? String(from + 10) : null;
      send(response, { peers: ids.slice(from, from + 10).map((id) => record(id)), next_cursor: next });
    });
    expect(await list()).toMatchObject({ ids, skipped: 0, incomplete: undefined });
    expect(queries).toEqual(['limit=1000', 'limit=1000&cursor=10', 'limit=1000&cursor=20']);
  });

  test('without an end is left after some pages, and continued by the next call', async () => {
    const { list, queries } = await startTracker((query, response) => {
      const page = Number(query.get('cursor') ?? 0);
      send(response, { peers: peerIds(1).map((id) => record(id)), next_cursor: String(page + 1) });
    });
    expect(await list()).toMatchObject({ incomplete: 'it has more than 256 pages', peers: { length: 256 } });
    await list();
    expect(queries[256]).toBe('limit=1000&cursor=256');
    expect(queries).toHaveLength(512);
  });

  test('of a slow tracker is left in time, and continued by the next call', async () => {
    const tracker = await startTracker((query, response) => {
      tracker.clock.ms += 10_000;
      send(response, { peers: [], next_cursor: query.has('cursor') ? 'second' : 'first' });
    });
    expect(await tracker.list()).toMatchObject({ incomplete: 'it takes longer than 15000 ms' });
    await tracker.list();
    expect(tracker.queries[2]).toBe('limit=1000&cursor=second');
  });

  test('whose second page fails has the peers of the first one', async () => {
    const [id = ''] = peerIds(1);
    const { list } = await startTracker((query, response) => {
      if (query.has('cursor')) response.statusCode = 503;
      send(response, { peers: [record(id)], next_cursor: 'second', title: 'Down', status: 503 });
    });
    expect(await list()).toMatchObject({
      ids: [id],
      incomplete: expect.stringContaining('a page failed: The tracker'),
    });
  });

  test.each([400, 422, 503])('that is refused with %i is read without pages', async (status) => {
    const [id = ''] = peerIds(1);
    const { list } = await startTracker((query, response) => {
      if (query.has('limit')) response.statusCode = status;
      send(response, { peers: [record(id)] });
    });
    expect(await list()).toMatchObject({ ids: [id], incomplete: undefined });
  });

  test('whose cursor is no longer valid is read from its start', async () => {
    const [first = '', second = ''] = peerIds(2);
    let isRestarted = false;
    const { list } = await startTracker((query, response) => {
      if (isRestarted && query.has('cursor')) response.statusCode = 400;
      else if (query.has('cursor')) response.statusCode = 503;
      send(response, {
        peers: [record(isRestarted ? second : first)],
        next_cursor: isRestarted ? null : 'x',
      });
    });
    expect(await list()).toMatchObject({ ids: [first] });
    isRestarted = true;
    expect(await list()).toMatchObject({ ids: [second] });
  });
});

describe('a list', () => {
  test('of 18 MB is read, with each of its devices', async () => {
    const fakeIds = peerIds(1_200);
    const [honest = ''] = peerIds(1);
    const addrs = Array.from({ length: 32 }, (_, n) => `/dns4/${'x'.repeat(460)}.${n}.example/tcp/1`);
    const { list } = await startTracker((_, response) =>
      send(response, { peers: [...fakeIds.map((id) => record(id, addrs)), record(honest)] }),
    );
    const { ids, incomplete } = await list();
    expect(incomplete).toBeUndefined();
    expect(ids).toEqual([...fakeIds, honest]);
  });

  test('that is larger than the limit has the devices before it', async () => {
    const [id = ''] = peerIds(1);
    const { list } = await startTracker((_, response) => {
      response.write(`{"peers":[${JSON.stringify(record(id))}`);
      const junk = `,"${'x'.repeat(MEGABYTE)}"`;
      const writeMore = (): void => {
        while (!response.destroyed && response.write(junk));
      };
      response.on('drain', writeMore);
      writeMore();
    });
    expect(await list()).toMatchObject({ ids: [id], incomplete: expect.stringContaining('bytes') });
  });

  test('whose end does not arrive has the devices before it', async () => {
    const [id = ''] = peerIds(1);
    const { list } = await startTracker((_, response) => {
      response.writeHead(200, { 'Content-Length': '100000' });
      response.write(`{"peers":[${JSON.stringify(record(id))},`, () => response.destroy());
    });
    expect(await list()).toMatchObject({ ids: [id], incomplete: expect.stringContaining('did not arrive') });
  });

  const [honest = '', other = ''] = peerIds(2);

  test.each([
    ['null', null],
    ['a number', 7],
    ['an empty object', {}],
    ['a list', [[[]]]],
    ['a record of several MB', record(other, ['x'.repeat(3 * MEGABYTE)])],
    [
      'a million addresses',
      record(
        other,
        Array.from({ length: 1_000_000 }, () => '/a'),
      ),
    ],
    ['thirty thousand objects', { ...record(other), note: Array.from({ length: 30_000 }, () => ({})) }],
    ['an invalid peer id', record('not-a-peer-id')],
    ['an empty peer id', record('')],
    ['a peer id of 100 kB', record('1'.repeat(100_000))],
    ['a peer id with NUL', record(`${other}\0`)],
    ['a time of 1e300', { ...record(other), last_seen_unix: 1e300 }],
    ['a null time', { ...record(other), last_seen_unix: null }],
  ])('with %s is read except for this record', async (_, odd) => {
    const { list } = await startTracker((__, response) =>
      send(response, { peers: [odd, record(honest), odd] }),
    );
    expect(await list()).toMatchObject({ ids: [honest], skipped: 2 });
  });

  test('may have structure, escapes and brackets in its texts', async () => {
    const { list } = await startTracker((_, response) =>
      send(response, {
        meta: { peers: [record(other)], text: '"peers":[{}]}' },
        'peers"': [record(other)],
        peers: [
          { ...record(honest), note: '\\"}],{"[:', nested: { peers: [1, { a: [] }] } },
          { ...record(other), meta: { user_id: 'ada', hostname: '\\' } },
        ],
        after: [1, [2]],
        next_cursor: null,
      }),
    );
    expect(await list()).toMatchObject({ ids: [honest, other], skipped: 0 });
  });

  test('that arrives byte by byte is the same list', async () => {
    const { list } = await startTracker((_, response) => {
      const body = Buffer.from(JSON.stringify({ peers: [record(honest, ['/ip4/10.0.0.1/tcp/1', '/é'])] }));
      response.flushHeaders();
      for (const byte of body) response.write(Buffer.from([byte]));
      response.end();
    });
    expect((await list()).peers[0]?.addresses).toEqual(['/ip4/10.0.0.1/tcp/1', '/é']);
  });

  test('with two records of one peer has it once, with the addresses of both, the newer ones first', async () => {
    const { list } = await startTracker((_, response) =>
      send(response, {
        peers: [
          { ...record(honest, ['/old']), last_seen_unix: NOW - 1 },
          record(honest, ['/new']),
          { ...record(honest, ['/older']), last_seen_unix: NOW - 2 },
        ],
      }),
    );
    expect((await list()).peers).toMatchObject([
      { addresses: ['/new', '/old', '/older'], lastSeenUnixSeconds: NOW },
    ]);
  });

  test('has no peer that it lists as revoked', async () => {
    const { list } = await startTracker((_, response) =>
      send(response, {
        peers: [record(honest), record(other)],
        revocations: [{ peer_id: other, revoked_at: 1 }, null, 'x', { peer_id: 7 }],
      }),
    );
    expect(await list()).toMatchObject({ ids: [honest], revoked: [other] });
  });

  test('with an address of 100 kB and many addresses has the circuit of the device', async () => {
    const circuit = `/ip4/10.0.0.9/tcp/4001/p2p/${other}/p2p-circuit/p2p/${honest}`;
    const addrs = Array.from({ length: 70 }, (_, n) => `/ip4/10.0.0.1/tcp/${n + 1}`);
    const { list } = await startTracker((_, response) =>
      send(response, { peers: [record(honest, ['x'.repeat(50_000), ...addrs, circuit])] }),
    );
    const { addresses } = (await list()).peers[0] ?? { addresses: [] };
    expect(addresses).toHaveLength(32);
    expect(addresses[0]).toBe(circuit);
  });
});
