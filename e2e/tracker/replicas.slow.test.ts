import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { type RedisProcess, startRedis } from '../../testing/redis.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';
import { peerIds } from '../../testing/peer-ids.ts';

/** Number of devices that send the load: a prime number, so that each of them both registers and lists. */
const DEVICES = peerIds(199);

/** The load: ten requests every ten milliseconds are a thousand per second. */
const TICK_MS = 10;
const REQUESTS_PER_TICK = 10;

/** Attempts of one request, and the pause between them; sufficient for a restart. */
const ATTEMPTS = 400;
const RETRY_PAUSE_MS = 50;

const TEST_TIMEOUT_MS = 300_000;

afterEach(cleanUp);

async function start(redis: RedisProcess, listen = '127.0.0.1:0'): Promise<TrackerProcess> {
  const tracker = await startTracker({ TRACKER_REDIS_URL: redis.url, TRACKER_LISTEN: listen });
  onCleanup(() => tracker.end('SIGKILL'));
  return tracker;
}

async function startOneRedis(): Promise<RedisProcess> {
  const redis = await startRedis();
  onCleanup(() => redis.stop());
  return redis;
}

/** Starts a proxy that forwards each connection to the next tracker, and skips trackers that do not listen. */
async function startRoundRobin(ports: readonly number[]): Promise<number> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    client.on('error', () => {}).pause();
    forward(client, ports.length);
  });
  function forward(client: Socket, attemptsLeft: number): void {
    connections += 1;
    const backend = connect(ports[connections % ports.length] ?? 0, '127.0.0.1');
    backend.once('connect', () => {
      backend.removeAllListeners('error');
      for (const [from, to] of [
        [client, backend],
        [backend, client],
      ] as const) {
        sockets.add(from);
        from.on('error', () => to.destroy()).on('close', () => to.destroy());
        from.pipe(to);
      }
    });
    backend.once('error', () => {
      if (attemptsLeft > 1) forward(client, attemptsLeft - 1);
      else client.destroy();
    });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Load {
  /** Requests that got a final response. */
  readonly answered: () => number;
  readonly lost: () => number;
  readonly serverErrors: () => number;
  stop(): Promise<void>;
}

/** Registrations and listings at a steady rate, each retried as released clients do. */
function startLoad(port: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const running = new Set<Promise<void>>();
  const counts = { answered: 0, lost: 0, serverErrors: 0 };
  let sent = 0;

  async function send(number: number): Promise<void> {
    const device = DEVICES[number % DEVICES.length] ?? '';
    const body = JSON.stringify({
      peer_id: device,
      addrs: ['/ip4/192.168.1.20/tcp/4001'],
      meta: { user_id: 'alice' },
    });
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const status = await call(port, agent, number % 5 === 0 ? undefined : body);
      if (status !== undefined && status >= 500) counts.serverErrors += 1;
      if (status === 200) {
        counts.answered += 1;
        return;
      }
      await new Promise((resolve) => {
        setTimeout(resolve, RETRY_PAUSE_MS);
      });
    }
    counts.lost += 1;
  }

  const timer = setInterval(() => {
    for (let n = 0; n < REQUESTS_PER_TICK; n += 1) {
      const work = send(sent);
      sent += 1;
      running.add(work);
      void work.finally(() => running.delete(work));
    }
  }, TICK_MS);
  const stop = async (): Promise<void> => {
    clearInterval(timer);
    await Promise.all(running);
    agent.destroy();
  };
  onCleanup(stop);
  return {
    answered: () => counts.answered,
    lost: () => counts.lost,
    serverErrors: () => counts.serverErrors,
    stop,
  };
}

/** The status of one request, or `undefined` when its connection broke. */
async function call(port: number, agent: Agent, body: string | undefined): Promise<number | undefined> {
  return new Promise((resolve) => {
    const path = body === undefined ? '/api/v1/peers?user_id=alice&limit=10' : '/api/v1/peers/register';
    const options = { port, agent, path, method: body === undefined ? 'GET' : 'POST' };
    const outgoing = request({ ...options, headers: { 'Content-Type': 'application/json' } }, (response) => {
      response.on('error', () => resolve(undefined));
      response.resume().on('end', () => resolve(response.statusCode));
    });
    outgoing.on('error', () => resolve(undefined));
    outgoing.end(body);
  });
}

describe('two trackers with one Redis', () => {
  test('list a registration at the other one immediately', async () => {
    const redis = await startOneRedis();
    const [first, second] = await Promise.all([start(redis), start(redis)]);
    for (const [index, peer_id] of DEVICES.slice(0, 20).entries()) {
      const [one, other] = index % 2 === 0 ? [first, second] : [second, first];
      const body = JSON.stringify({ peer_id, addrs: [], meta: { user_id: `user${index}` } });
      const headers = { 'Content-Type': 'application/json' };
      await fetch(`${one.url}/api/v1/peers/register`, { method: 'POST', headers, body });
      const listing = await (await fetch(`${other.url}/api/v1/peers?user_id=user${index}`)).json();
      expect(listing).toMatchObject({ peers: [{ peer_id }] });
    }
  });

  test(
    'lose no request of a retrying client while one is killed and both are restarted under load',
    async () => {
      const redis = await startOneRedis();
      const trackers = await Promise.all([start(redis), start(redis)]);
      const hosts = trackers.map(({ url }) => new URL(url).host);
      const load = startLoad(await startRoundRobin(hosts.map((host) => Number(host.split(':')[1]))));
      const more = async (count: number): Promise<void> => {
        const target = load.answered() + count;
        await until(() => load.answered() >= target, `${count} more requests are answered`);
      };
      await more(1_000);
      await trackers[0].end('SIGKILL');
      await more(2_000);
      await start(redis, hosts[0]);
      await more(1_000);
      expect(await trackers[1].end('SIGTERM')).toBe(0);
      await more(1_000);
      await start(redis, hosts[1]);
      await more(2_000);
      await load.stop();
      expect({ lost: load.lost(), serverErrors: load.serverErrors() }).toEqual({ lost: 0, serverErrors: 0 });
      const listing = (await (await fetch(`http://${hosts[0]}/api/v1/peers`)).json()) as { peers: unknown[] };
      expect(listing.peers).toHaveLength(DEVICES.length);
    },
    TEST_TIMEOUT_MS,
  );

  test('refuse with Retry-After while Redis is down, return the last listing, stay live, and recover', async () => {
    const redis = await startOneRedis();
    const { url, opsUrl } = await start(redis);
    const register = (): Promise<Response> =>
      fetch(`${url}/api/v1/peers/register`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ peer_id: DEVICES[0], addrs: [], meta: { user_id: 'alice' } }),
      });
    expect((await register()).status).toBe(200);
    await fetch(`${url}/api/v1/peers?user_id=alice`);
    await redis.stop();
    await until(async () => (await fetch(`${opsUrl}/readyz`)).status === 503, 'the tracker is unready');
    expect(await (await fetch(`${opsUrl}/readyz`)).text()).toContain('registry: Redis does not respond');
    expect((await fetch(`${opsUrl}/livez`)).status).toBe(200);
    const refused = await register();
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const stale = await fetch(`${url}/api/v1/peers?user_id=alice`);
    expect(stale.headers.get('x-rustory-stale')).not.toBeNull();
    expect(await stale.json()).toMatchObject({ peers: [{ peer_id: DEVICES[0] }] });
    expect((await fetch(`${url}/api/v1/peers?user_id=bob`)).status).toBe(503);
    expect(await (await fetch(`${opsUrl}/metrics`)).text()).toContain('rustory_tracker_redis_up 0');

    const back = await startRedis([], redis.port);
    onCleanup(() => back.stop());
    await until(async () => (await register()).status === 200, 'the tracker has recovered');
    const fresh = await fetch(`${url}/api/v1/peers?user_id=alice`);
    expect(fresh.headers.get('x-rustory-stale')).toBeNull();
    expect((await fetch(`${opsUrl}/readyz`)).status).toBe(200);
  });
});
