import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Database, openDatabase } from '../history/database.ts';
import { discover } from './discovery.ts';
import { createPeerBook, type PeerBook } from './peer-book.ts';
import { createTrackerClient, type TrackerClient } from './tracker-client.ts';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function startTracker(handle: Handler, timeoutMs = 5_000): Promise<TrackerClient> {
  const server = createServer(handle);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return createTrackerClient({ url: `http://127.0.0.1:${port}`, token: 'secret-token', timeoutMs });
}

const json =
  (body: unknown, status = 200): Handler =>
  (_, response) =>
    void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));

const listed = (id: string, lastSeen: number, address = `/ip4/10.0.0.1/tcp/1/p2p/${id}`) => ({
  peer_id: id,
  addrs: [address],
  meta: { user_id: 'ada', device_id: id, hostname: null },
  last_seen: '2026-11-23T00:00:00Z',
  last_seen_unix: lastSeen,
});

describe('a tracker', () => {
  test('is asked with the token and for one user', async () => {
    const asked: Array<string | undefined> = [];
    const tracker = await startTracker((request, response) => {
      asked.push(request.url, request.headers.authorization);
      json({ peers: [listed('a', 5)] })(request, response);
    });
    await expect(tracker.list('ada & co')).resolves.toMatchObject([{ peer_id: 'a' }]);
    expect(asked).toEqual(['/api/v1/peers?user_id=ada+%26+co', 'Bearer secret-token']);
  });

  test('that refuses is quoted, with what to do about a token', async () => {
    const tracker = await startTracker(
      json({ type: 'about:blank', title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED' }, 401),
    );
    await expect(tracker.list('ada')).rejects.toThrow(/refused with 401: Unauthorized; set tracker_token/);
    await expect(tracker.list('ada')).rejects.not.toThrow(/secret-token/);
  });

  test('that does not answer is given up at the deadline', async () => {
    const tracker = await startTracker(() => {}, 50);
    await expect(tracker.list('ada')).rejects.toThrow('did not answer within 50 ms');
  });

  test('that is not there says so', async () => {
    const tracker = createTrackerClient({ url: 'http://127.0.0.1:9', token: undefined });
    await expect(tracker.unregister('a')).rejects.toThrow(/tracker http:\/\/127.0.0.1:9 cannot be asked/);
  });

  test.each([
    ['another service', (_: IncomingMessage, response: ServerResponse) => void response.end('<html>')],
    ['a list without times', json({ peers: [{ peer_id: 'a', addrs: [], meta: null }] })],
    [
      'an endless answer',
      (_: IncomingMessage, response: ServerResponse) => {
        const more = (): void => {
          while (!response.destroyed && response.write(' '.repeat(1024 * 1024)));
        };
        response.on('drain', more);
        more();
      },
    ],
  ] satisfies Array<[string, Handler]>)(
    'that turns out to be %s is an error, not a crash',
    async (_, handle) => {
      const tracker = await startTracker(handle);
      await expect(tracker.list('ada')).rejects.toThrow(/^tracker http/);
    },
  );

  test('is never followed to where it redirects, because the token would go along', async () => {
    const reached: string[] = [];
    const other = await startTracker((request, response) => {
      reached.push(request.url ?? '');
      response.end();
    });
    const tracker = await startTracker((_, response) => {
      response.writeHead(302, { Location: `${other.url}/stolen` }).end();
    });
    await expect(tracker.list('ada')).rejects.toThrow('cannot be asked');
    expect(reached).toEqual([]);
  });
});

describe('the other devices', () => {
  let directory: string;
  let database: Database;
  let peerBook: PeerBook;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rustory-discovery-'));
    database = openDatabase(join(directory, 'history.db'));
    peerBook = createPeerBook(database);
  });

  afterEach(() => {
    database.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const find = async (...trackers: TrackerClient[]) =>
    discover({ trackers, peerBook, userId: 'ada', ownPeerId: 'me', now: () => 1_000_000 });
  const down = createTrackerClient({ url: 'http://127.0.0.1:9', token: undefined });

  test('are what all trackers know, the newest record of each, without this one', async () => {
    const one = await startTracker(json({ peers: [listed('a', 10, '/old'), listed('me', 99)] }));
    const two = await startTracker(json({ peers: [listed('a', 20, '/new'), listed('b', 5)] }));
    const { peers, source, problems } = await find(one, two, down);
    expect(peers.map(({ peerId, addresses }) => [peerId, addresses[0]])).toEqual([
      ['a', '/new'],
      ['b', expect.stringContaining('/p2p/b')],
    ]);
    expect(source).toBe('trackers');
    expect(problems).toEqual([expect.stringContaining('http://127.0.0.1:9')]);
  });

  test('are those of the peer book when no tracker answers', async () => {
    await find(await startTracker(json({ peers: [listed('a', 999_000)] })));
    const { peers, source } = await find(down);
    expect(source).toBe('peer book');
    expect(peers.map(({ peerId }) => peerId)).toEqual(['a']);
  });

  test('are those of the peer book when a tracker was just started and knows nobody', async () => {
    await find(await startTracker(json({ peers: [listed('a', 999_000)] })));
    const { peers, problems } = await find(await startTracker(json({ peers: [] })));
    expect(peers.map(({ peerId }) => peerId)).toEqual(['a']);
    expect(problems).toEqual([]);
  });

  test('are forgotten after a week', async () => {
    await find(await startTracker(json({ peers: [listed('a', 1_000_000 - 8 * 86_400)] })));
    expect((await find(down)).peers).toEqual([]);
  });

  test('are waited for when a tracker is slow', async () => {
    const slow = await startTracker((request, response) => {
      setTimeout(() => json({ peers: [listed('a', 10)] })(request, response), 300);
    });
    expect((await find(slow, down)).peers).toHaveLength(1);
  });
});
