// What a tracker keeps of requests that it refuses, and of answers that nobody reads.
import { connect, type Socket } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { makeDirectory } from '../../testing/peer.ts';
import { residentMiB } from '../../testing/process-usage.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';
import { until } from '../../testing/wait.ts';

const TIMEOUT_MS = 240_000;

/** Heap of the tracker in MiB: about that of the chart. */
const HEAP_MIB = 160;

/** Maximum resident memory in MiB, with what is not collected yet. */
const MAX_RESIDENT_MIB = 360;

afterEach(cleanUp);

async function start(env: Record<string, string> = {}): Promise<TrackerProcess> {
  const tracker = await startTracker({
    NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}`,
    TRACKER_PEER_REQUESTS_PER_MINUTE: '0',
    TRACKER_TOKEN_REQUESTS_PER_MINUTE: '0',
    ...env,
  });
  onCleanup(() => tracker.end('SIGKILL'));
  return tracker;
}

function open({ url }: TrackerProcess, isRead: boolean): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {});
  onCleanup(() => socket.destroy());
  return isRead ? socket.resume() : socket.pause();
}

/** Sends requests over a few connections, each after the answer to the one before. Returns the number of each status. */
async function post(
  { url }: TrackerProcess,
  bodies: readonly string[],
  token?: string,
): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  const rest = [...bodies];
  const worker = async (): Promise<void> => {
    for (let body = rest.pop(); body !== undefined; body = rest.pop()) {
      const headers = {
        'Content-Type': 'application/json',
        ...(token && { Authorization: `Bearer ${token}` }),
      };
      const response = await fetch(`${url}/api/v1/peers/register`, { method: 'POST', headers, body });
      await response.arrayBuffer();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return statuses;
}

async function answers({ url }: TrackerProcess): Promise<boolean> {
  return (await fetch(`${url}/api/v1/ping`)).status === 200;
}

/** Registers devices whose list has the maximum size. */
async function fill(tracker: TrackerProcess): Promise<void> {
  const addrs = Array.from({ length: 30 }, (_, n) => `/dns4/${'x'.repeat(200)}.example/tcp/${n + 1}`);
  const bodies = peerIds(100).map((peer_id) => JSON.stringify({ peer_id, addrs }));
  expect(await post(tracker, bodies)).toEqual(new Map([[200, 100]]));
}

test.each([
  ['read-only', ' read-only'],
  ['of another user', ' user=someone'],
])(
  'refused registrations with a token that is %s leave nothing in memory',
  async (_, attributes) => {
    const file = join(makeDirectory(), 'tokens');
    writeFileSync(file, `refused-token-of-a-test${attributes}\nright-token-of-a-test\n`, { mode: 0o600 });
    const tracker = await start({ TRACKER_TOKENS_FILE: file });
    const [peer_id] = peerIds(1);
    const bodies = Array.from({ length: 15_000 }, (__, n) =>
      JSON.stringify({
        peer_id,
        addrs: [],
        meta: { user_id: `${n}`.padEnd(250, 'x'), a: 'a'.repeat(250), b: 'b'.repeat(250) },
      }),
    );
    expect(await post(tracker, bodies.slice(0, 2_000), 'refused-token-of-a-test')).toEqual(
      new Map([[403, 2_000]]),
    );
    const before = residentMiB(tracker);
    expect(await post(tracker, bodies, 'refused-token-of-a-test')).toEqual(new Map([[403, 15_000]]));
    expect(residentMiB(tracker) - before).toBeLessThan(64);
  },
  TIMEOUT_MS,
);

test(
  'permitted registrations that differ each time fill a cache that is bounded in bytes',
  async () => {
    const tracker = await start();
    const peers = peerIds(20);
    const bodies = Array.from({ length: 30_000 }, (_, n) =>
      JSON.stringify({
        peer_id: peers[n % 20],
        addrs: [],
        meta: { x: `${n}`.padEnd(250, 'x'), y: 'y'.repeat(250), z: 'z'.repeat(250) },
      }),
    );
    expect(await post(tracker, bodies)).toEqual(new Map([[200, 30_000]]));
    expect(residentMiB(tracker)).toBeLessThan(MAX_RESIDENT_MIB);
  },
  TIMEOUT_MS,
);

test.each([
  ['requests', 'GET /api/v1/peers HTTP/1.1\r\nHost: t\r\n\r\n'],
  ['requests with an unknown expectation', 'GET / HTTP/1.1\r\nHost: t\r\nExpect: a\r\n\r\n'],
  ['requests without a host', 'GET / HTTP/1.1\r\n\r\n'],
])(
  'packets of pipelined %s whose answers nobody reads do not end the tracker',
  async (_, request) => {
    const tracker = await start();
    await fill(tracker);
    const packet = request.repeat(1_666);
    const sockets = Array.from({ length: 400 }, () => open(tracker, false));
    for (const socket of sockets) socket.write(packet);
    const few = Array.from({ length: 50 }, () => open(tracker, false));
    for (const socket of few) socket.write('GET /api/v1/peers HTTP/1.1\r\nHost: t\r\n\r\n'.repeat(8));
    await until(() => [...sockets, ...few].every((socket) => socket.bytesWritten > 0), 'all are sent');
    for (let n = 0; n < 20; n += 1) expect(await answers(tracker)).toBe(true);
    expect(residentMiB(tracker)).toBeLessThan(MAX_RESIDENT_MIB);
  },
  TIMEOUT_MS,
);

test(
  'long listings that nobody reads, each of another version, are bounded; a reader gets its own whole',
  async () => {
    const tracker = await start();
    await fill(tracker);
    const [peer_id] = peerIds(1);
    for (let n = 0; n < 400; n += 1) {
      await post(tracker, [JSON.stringify({ peer_id, addrs: [`/ip4/203.0.113.1/tcp/${n + 1}`] })]);
      const socket = open(tracker, false);
      socket.write('GET /api/v1/peers HTTP/1.1\r\nHost: t\r\n\r\n');
      await until(() => socket.bytesWritten > 0, 'the request is sent');
    }
    expect(residentMiB(tracker)).toBeLessThan(MAX_RESIDENT_MIB);
    const listing = (await (await fetch(`${tracker.url}/api/v1/peers`)).json()) as { peers: unknown[] };
    expect(listing.peers.length).toBeGreaterThan(50);
  },
  TIMEOUT_MS,
);
