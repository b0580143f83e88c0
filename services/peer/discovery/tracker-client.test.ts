import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTrackerClient, type TrackerClient } from './tracker-client.ts';

afterEach(cleanUp);

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function startTracker(handle: Handler, timeoutMs = 5_000): Promise<TrackerClient> {
  const server = createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return createTrackerClient({ url: `http://127.0.0.1:${port}`, token: 'secret-token', timeoutMs });
}

const json =
  (body: unknown, status = 200): Handler =>
  (_, response) =>
    void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));

const PEER = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

/** A peer as the tracker of `rr` lists it: without `last_seen`. */
const peerOfRr = {
  peer_id: PEER,
  addrs: ['/ip4/10.0.0.1/tcp/1/p2p/a'],
  meta: {
    device_id: 'laptop',
    hostname: null,
    user_id: 'ada',
    version: '1.2.0',
    build_revision: null,
    build_dirty: null,
  },
  last_seen_unix: 1_700_000_000,
};

const known = {
  peerId: PEER,
  addresses: ['/ip4/10.0.0.1/tcp/1/p2p/a'],
  userId: 'ada',
  deviceId: 'laptop',
  hostname: undefined,
  lastSeenUnixSeconds: 1_700_000_000,
};
const nameless = { ...known, userId: undefined, deviceId: undefined };

describe('a listing', () => {
  test('requests the peers of one user, with the token in a header', async () => {
    const requests: Array<string | undefined> = [];
    const tracker = await startTracker((request, response) => {
      requests.push(request.url, request.headers.authorization);
      json({ peers: [] })(request, response);
    });
    await tracker.list('ada & co');
    expect(requests).toEqual(['/api/v1/peers?user_id=ada+%26+co&limit=1000', 'Bearer secret-token']);
  });

  test('names the own peer id, for trackers that list only the hub otherwise', async () => {
    const requests: unknown[] = [];
    const tracker = await startTracker((request, response) => {
      requests.push(request.url);
      json({ peers: [] })(request, response);
    });
    await tracker.list('ada', undefined, 'own-peer-id');
    expect(requests).toEqual(['/api/v1/peers?user_id=ada&peer_id=own-peer-id&limit=1000']);
  });

  test.each([
    ['a peer without last_seen', peerOfRr, known],
    ['a peer with last_seen', { ...peerOfRr, last_seen: '2023-11-14T22:13:20Z' }, known],
    ['null meta', { ...peerOfRr, meta: null }, nameless],
    ['no meta', { ...peerOfRr, meta: undefined }, nameless],
    ['empty meta', { ...peerOfRr, meta: {} }, nameless],
    [
      'unknown fields',
      { ...peerOfRr, color: 'red', meta: { ...peerOfRr.meta, membership: { protocol: 1 } } },
      known,
    ],
    ['no address', { ...peerOfRr, addrs: [] }, { ...known, addresses: [] }],
  ])('accepts %s', async (_, peer, expected) => {
    const tracker = await startTracker(
      json({ peers: [peer], revocations: [{ peer_id: 'b', revoked_at: 1 }] }),
    );
    await expect(tracker.list('ada')).resolves.toMatchObject({ peers: [expected], skipped: 0 });
  });

  test.each([
    ['a numeric peer_id', { ...peerOfRr, peer_id: 7 }],
    ['no peer_id', { ...peerOfRr, peer_id: undefined }],
    ['addrs that is not a list', { ...peerOfRr, addrs: '/ip4/10.0.0.1/tcp/1' }],
    ['an address that is not a string', { ...peerOfRr, addrs: [1] }],
    ['meta that is not an object', { ...peerOfRr, meta: 'ada' }],
    ['a numeric user_id', { ...peerOfRr, meta: { user_id: 1 } }],
    ['no last_seen_unix', { ...peerOfRr, last_seen_unix: undefined }],
    ['last_seen_unix as text', { ...peerOfRr, last_seen_unix: '1700000000' }],
    ['a fraction in last_seen_unix', { ...peerOfRr, last_seen_unix: 1.5 }],
    ['null as a peer', null],
  ])('skips a peer with %s and keeps the others', async (_, bad) => {
    const tracker = await startTracker(json({ peers: [bad, peerOfRr, bad] }));
    await expect(tracker.list('ada')).resolves.toMatchObject({ peers: [known], skipped: 2 });
  });
});

describe('a registration', () => {
  test.each([{ ok: true, ttl_sec: 60 }, { ok: true }, { ok: true, ttl_sec: null, note: 'x' }])(
    'accepts the response %j',
    async (body) => {
      const tracker = await startTracker(json(body));
      const announcement = { peerId: 'a', addresses: [], meta: {} };
      await expect(tracker.register(announcement)).resolves.toHaveProperty('ttlSeconds');
    },
  );
});

describe('a request to a tracker', () => {
  test('that is refused reports the status, the reason and advice about the token', async () => {
    const tracker = await startTracker(
      json({ type: 'about:blank', title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED' }, 401),
    );
    await expect(tracker.list('ada')).rejects.toMatchObject({
      code: 'TRACKER_FAILED',
      status: 401,
      message: `The tracker ${tracker.url} refused the request with status 401: Unauthorized. Set tracker_token to a token of this network.`,
    });
  });

  test('fails at the deadline', async () => {
    const tracker = await startTracker(() => {}, 50);
    await expect(tracker.list('ada')).rejects.toThrow('did not respond within 50 ms.');
  });

  test('fails when the tracker cannot be reached', async () => {
    const tracker = createTrackerClient({ url: 'http://127.0.0.1:9', token: undefined });
    await expect(tracker.unregister('a')).rejects.toThrow(
      /The tracker http:\/\/127.0.0.1:9 cannot be used: /,
    );
  });

  test.each([
    ['HTML', (_: IncomingMessage, response: ServerResponse) => void response.end('<html>')],
    ['JSON without peers', json({ status: 'up' })],
    [
      'an endless response',
      (_: IncomingMessage, response: ServerResponse) => {
        const writeMore = (): void => {
          while (!response.destroyed && response.write(' '.repeat(1024 * 1024)));
        };
        response.on('drain', writeMore);
        writeMore();
      },
    ],
  ] satisfies Array<[string, Handler]>)('fails when the response is %s', async (_, handle) => {
    const tracker = await startTracker(handle);
    await expect(tracker.list('ada')).rejects.toMatchObject({ code: 'TRACKER_FAILED' });
  });

  test.each([
    ['is compressed', 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxx', 'The response is compressed'],
    ['ends early', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"peers"', 'before the end of the response'],
    ['has a status that HTTP does not have', 'HTTP/1.1 999 No\r\n\r\n', 'has the status 999'],
    [
      'changes the protocol',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      'closed before the response',
    ],
  ])('says what is wrong when the response %s', async (_, response, problem) => {
    const tracker = await startTracker(({ socket }) => void socket.end(response));
    await expect(tracker.list('ada')).rejects.toThrow(problem);
  });

  test.each([301, 302, 303, 307, 308])(
    'does not follow a redirect with status %i, because the token would be sent to its target',
    async (status) => {
      const requests: string[] = [];
      const other = await startTracker((request, response) => {
        requests.push(request.url ?? '');
        response.end();
      });
      const tracker = await startTracker((_, response) => {
        response.writeHead(status, { Location: `${other.url}/stolen?secret=1` }).end('moved');
      });
      await expect(tracker.list('ada')).rejects.toMatchObject({
        code: 'TRACKER_FAILED',
        status,
        message: expect.stringContaining(`a redirect to ${other.url}/stolen, which neither rr nor`),
      });
      expect(requests).toEqual([]);
    },
  );

  test('names the target of a relative redirect', async () => {
    const tracker = await startTracker((_, response) => {
      response.writeHead(308, { Location: '/login' }).end();
    });
    await expect(tracker.list('ada')).rejects.toThrow(`a redirect to ${tracker.url}/login, which`);
  });
});

/** An address of this machine that is not a loopback address as a URL, but reaches the same server. */
function inClearText(url: string): string {
  return url.replace('127.0.0.1', '[::ffff:127.0.0.1]');
}

/** A tracker at a URL that is neither https nor loopback, and the Authorization headers that it receives. */
async function startRemote() {
  const received: Array<string | undefined> = [];
  const { url } = await startTracker((request, response) => {
    received.push(request.headers.authorization);
    json({ peers: [] })(request, response);
  });
  return { url: inClearText(url), received };
}

describe('a token', () => {
  test('is not sent over http to a host that is not loopback, and no request is sent', async () => {
    const { url, received } = await startRemote();
    const tracker = createTrackerClient({ url, token: 'secret-token' });
    const requests = [
      tracker.list('ada'),
      tracker.unregister('a'),
      tracker.register({ peerId: 'a', addresses: [], meta: {} }),
    ];
    for (const request of requests)
      await expect(request).rejects.toMatchObject({
        code: 'TRACKER_FAILED',
        message: expect.stringMatching(/neither https nor loopback.*tracker_token_over_http/),
      });
    expect(received).toEqual([]);
  });

  test('is sent there when tracker_token_over_http is true', async () => {
    const { url, received } = await startRemote();
    await createTrackerClient({ url, token: 'secret-token', tokenOverHttp: true }).list('ada');
    expect(received).toEqual(['Bearer secret-token']);
  });

  test('that is not configured prevents no request', async () => {
    const { url, received } = await startRemote();
    await createTrackerClient({ url, token: undefined }).list('ada');
    expect(received).toEqual([undefined]);
  });
});
