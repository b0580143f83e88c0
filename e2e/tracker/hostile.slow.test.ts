import { Agent, request } from 'node:http';
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { listResponseSchema } from '../../services/shared/contract.ts';
import { canonicalPeerId } from '../../services/tracker/peerid.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

/** Total number of requests, and number of warm-up requests, after which memory is measured. */
const REQUESTS = 10_000;
const WARM_UP = 3_000;

/** Maximum growth after the warm-up, in bytes: garbage that is not collected yet. */
const MAX_GROWTH = 64 * 1024 * 1024;

const CONCURRENT_REQUESTS = 16;
const TEST_TIMEOUT_MS = 300_000;

const PEERS = peerIds(50);

let tracker: TrackerProcess;

beforeAll(async () => {
  tracker = await startTracker({ TRACKER_MAX_PEERS: '40', TRACKER_PEER_REQUESTS_PER_MINUTE: '0' });
});
afterAll(() => tracker.end('SIGKILL'));

interface HostileRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values alternately, so that a name may occur twice. */
  readonly headers: readonly string[];
  readonly body: Buffer | string;
}

/** Random numbers from a seed (mulberry32): every run sends the same requests. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const random = seeded(20_261_123);

function pick<T>(items: readonly T[]): T {
  const item = items[random(items.length)];
  if (item === undefined) throw new Error('There is nothing to pick.');
  return item;
}

/** JSON values that no regular client sends. */
const VALUES = [
  'null',
  'true',
  '0',
  '-0',
  '1e308',
  '1e999',
  '-1e999',
  '9007199254740993',
  `1${'0'.repeat(400)}`,
  '[]',
  '{}',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udfff\\ud800"',
  '"\\u202e"',
  '"__proto__"',
  '"constructor"',
  `"${'x'.repeat(300)}"`,
  `"${'é'.repeat(128)}"`,
  '[[[[[[]]]]]]',
  '{"__proto__":{"a":1}}',
  '{"toString":null}',
  '"/ip4/0.0.0.0/tcp/0"',
  `"${'['.repeat(100)}"`,
  '"<script>"',
  '"\\n\\r\\t"',
  '['.repeat(20_000),
  '{"a":'.repeat(5_000),
];
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  'user_id',
  'device_id',
  '\\u0000',
  '\\ud800',
  'build_dirty',
  'x'.repeat(300),
];
const ADDRS = [
  '/ip4/1.2.3.4/tcp/1',
  '/ip4/0.0.0.0/tcp/1',
  '/ip6/::/tcp/0',
  '/dns4/x/tcp/1',
  '/',
  '//',
  '',
  ' ',
  '/ip4',
  '/p2p/Qm',
  '/ip4/1.2.3.4/tcp/99999',
  '/unix/%2Ftmp',
  '/dns4/\\u0000/tcp/1',
  '/http-path/%ff',
];

function registration(): string {
  const meta = Array.from({ length: random(6) }, () => `"${pick(KEYS)}":${pick(VALUES)}`);
  const addrs = Array.from({ length: random(5) }, () => `"${pick(ADDRS)}"`);
  const peerId = random(4) === 0 ? pick(VALUES) : `"${pick(PEERS)}"`;
  const fields = [
    `"peer_id":${peerId}`,
    `"addrs":${random(6) === 0 ? pick(VALUES) : `[${addrs.join(',')}]`}`,
  ];
  if (random(3) > 0) fields.push(`"meta":${random(5) === 0 ? pick(VALUES) : `{${meta.join(',')}}`}`);
  if (random(8) === 0) fields.push(`"${pick(KEYS)}":${pick(VALUES)}`);
  return `{${fields.join(',')}}`;
}

/** A text with a few changed bytes, or cut. */
function mutated(text: string): Buffer {
  const bytes = Buffer.from(text);
  for (let n = random(6); n > 0; n -= 1) bytes[random(bytes.length)] = random(256);
  return random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
}

const PATHS = [
  '/api/v1/peers',
  '/api/v1/peers/register',
  '/api/v1/peers/unregister/',
  '/api/v1/peers/',
  '//api//v1//peers',
  '/api/v1/../v1/peers',
  '/api/v1/peers/%2e%2e/%2e%2e',
  '/api/v1/peers/%00',
  '/api/v1/%',
  '/api/v1/peers;x=1',
  '/API/V1/PEERS',
  '/api/v1/peers?user_id=%ff%fe',
  '/api/v1/peers?user_id=%',
  '/api/v1/peers?user_id=%00',
  '/api/v1/peers?user_id=a&user_id=b',
  '/api/v1/peers?__proto__=1&limit=5',
  '/api/v1/peers?limit=-1',
  '/api/v1/peers?limit=1e9',
  '/api/v1/peers?cursor=AAAA',
  '/api/v1/peers?cursor=%00',
  `/api/v1/peers?user_id=${'x'.repeat(4_000)}`,
  `/${'a/'.repeat(2_000)}`,
  '/',
  '/openapi.json',
  '/livez',
  '/metrics',
  '/..%2f..%2fetc/passwd',
  '/\\\\evil',
  '/api/v1/peers?limit=1#x',
  '/__proto__',
  '/api/v1/constructor',
  'http://evil.example/api/v1/ping',
  '*',
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND', 'M-SEARCH'];
const HEADERS: readonly (readonly string[])[] = [
  [],
  ['Content-Type', 'text/plain'],
  ['Content-Type', ''],
  ['Content-Type', 'application/json', 'Content-Type', 'text/html'],
  ['Authorization', 'Bearer a', 'Authorization', 'Bearer b'],
  ['X-Rustory-Token', 'a', 'X-Rustory-Token', 'b'],
  ['X-Forwarded-For', '::::,1,%'],
  ['If-None-Match', `${'"x",'.repeat(500)}*`],
  ['Host', 'evil host'],
  ['Host', '[::1'],
  ['Accept-Encoding', 'gzip;q=\u00ff'],
  ['Expect', '100-continue'],
  ['Range', 'bytes=0-1'],
  ['Upgrade', 'websocket', 'Connection', 'upgrade'],
  ['__proto__', 'x'],
  ['Cookie', 'x'.repeat(4_000)],
];

function hostileRequest(): HostileRequest {
  const kind = random(10);
  const json = ['Content-Type', 'application/json'];
  const register = { method: 'POST', path: '/api/v1/peers/register', headers: json };
  if (kind < 5) return { ...register, body: registration() };
  if (kind < 7) return { ...register, body: mutated(registration()) };
  if (kind === 7)
    return { ...register, path: '/api/v1/peers/unregister', body: `{"peer_id":${pick(VALUES)}}` };
  const method = pick(METHODS);
  const body = method === 'GET' || method === 'HEAD' || method === 'TRACE' ? '' : mutated(registration());
  return { method, path: pick(PATHS), headers: [...pick(HEADERS)], body };
}

/** Sends a request and returns the status of the response, or 0 when the server closed the connection instead. */
async function send(agent: Agent, { method, path, headers, body }: HostileRequest): Promise<number> {
  const { hostname, port } = new URL(tracker.url);
  const named = headers.some((name, index) => index % 2 === 0 && name === 'Host')
    ? headers
    : ['Host', 't', ...headers];
  return new Promise((resolve) => {
    const options = {
      hostname,
      port,
      agent,
      method,
      path,
      headers: [...named, 'Content-Length', String(Buffer.byteLength(body))],
    };
    const outgoing = request(options, (response) => {
      response.on('error', () => resolve(0));
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.on('upgrade', (_answer, socket) => {
      socket.destroy();
      resolve(0);
    });
    outgoing.on('error', () => resolve(0));
    outgoing.end(body);
  });
}

async function residentBytes(): Promise<number> {
  const text = await (await fetch(`${tracker.opsUrl}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)?.[1]);
}

async function sendMany(count: number, statuses: Map<number, number>): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENT_REQUESTS });
  let left = count;
  const worker = async (): Promise<void> => {
    for (; left > 0; left -= 1) {
      const sent = hostileRequest();
      const status = await send(agent, sent);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status >= 500)
        throw new Error(
          `${status} for ${JSON.stringify({ ...sent, body: String(sent.body).slice(0, 2_000) })}`,
        );
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_REQUESTS }, worker));
  agent.destroy();
}

test(
  'ten thousand hostile requests cause no failure and no growth, and store nothing that clients cannot parse',
  async () => {
    const statuses = new Map<number, number>();
    await sendMany(WARM_UP, statuses);
    const before = await residentBytes();
    await sendMany(REQUESTS - WARM_UP, statuses);
    expect(await residentBytes()).toBeLessThan(before + MAX_GROWTH);
    // The requests have reached all checks: some succeeded, and some were refused for each of these reasons.
    for (const status of [200, 400, 404, 405, 415, 429]) expect([...statuses.keys()]).toContain(status);

    const text = await (await fetch(`${tracker.url}/api/v1/peers`)).text();
    const { peers } = listResponseSchema.parse(JSON.parse(text));
    expect(peers.length).toBeGreaterThan(0);
    expect(peers.length).toBeLessThanOrEqual(40);
    expect(text.isWellFormed()).toBe(true);
    for (const { peer_id, addrs } of peers) {
      // A changed byte may make another valid peer id.
      expect(canonicalPeerId(peer_id)).toBe(peer_id);
      for (const addr of addrs) expect(() => multiaddr(addr)).not.toThrow();
    }
    for (const userId of new Set(peers.map(({ meta }) => meta?.user_id))) {
      if (typeof userId !== 'string') continue;
      const response = await fetch(`${tracker.url}/api/v1/peers?user_id=${encodeURIComponent(userId)}`);
      const own = listResponseSchema.parse(await response.json()).peers;
      expect(own).toHaveLength(peers.filter(({ meta }) => meta?.user_id === userId).length);
    }
    expect((await fetch(`${tracker.url}/`)).status).toBe(200);
    expect(tracker.output()).not.toContain('"level":"error"');
  },
  TEST_TIMEOUT_MS,
);
