// The watchdog must detect an unresponsive Redis, and must not conclude that Redis is down when this process is short
// of CPU or has a long queue.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { type ClusterSetup, startCluster } from '../../../testing/redis-topologies.ts';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import { type RemoteRegistry, RegistryOverloadedError, RegistryUnavailableError } from './registry.ts';

/** Devices that reconnect at the same time. */
const DEVICES = 10_000;

/** A process that is short of CPU runs for some milliseconds, then not for several hundred. */
const STALL_MS = 300;
const RUN_MS = 40;

let redis: RedisProcess;
let cluster: ClusterSetup;

beforeAll(async () => {
  // The nodes must not declare the frozen one failed during the test.
  [redis, cluster] = await Promise.all([startRedis(), startCluster(60_000)]);
});
afterAll(async () => void (await Promise.all([redis.stop(), cluster.stop()])));
afterEach(cleanUp);

interface OpenRegistry {
  readonly registry: RemoteRegistry;
  /** Probes of Redis that failed. */
  failedProbes(): number;
}

async function open(url: string): Promise<OpenRegistry> {
  let failed = 0;
  const registry = createRedisRegistry(parseRedisUrl(url), {
    ttlSeconds: 60,
    maxPeers: 100_000,
    log: createLogger('test', 'silent'),
    onProbe: (seconds) => void (failed += seconds === undefined ? 1 : 0),
  });
  onCleanup(() => registry.stop());
  await registry.start();
  return { registry, failedProbes: () => failed };
}

function stall(milliseconds: number): void {
  const endMs = performance.now() + milliseconds;
  while (performance.now() < endMs);
}

/** Stalls this process again and again until the test is over. */
function startStalls(): void {
  const timer = setInterval(() => stall(STALL_MS), RUN_MS);
  onCleanup(() => clearInterval(timer));
}

describe('while this process is short of CPU', () => {
  test('a command in flight succeeds although the event loop was blocked for longer than the deadline', async () => {
    const { registry, failedProbes } = await open(redis.url);
    const calls = Array.from({ length: 50 }, (_, n) => registry.register(device(`blocked-${n}`)));
    // Commands are written in a later iteration of the event loop.
    for (let turn = 0; turn < 3; turn += 1) await nextIteration();
    stall(800);
    for (const result of await Promise.all(calls)) expect(result).toEqual({ ok: true });
    expect(failedProbes()).toBe(0);
  });

  test('a command that is written after the event loop was blocked succeeds', async () => {
    const { registry, failedProbes } = await open(redis.url);
    const calls = Array.from({ length: 50 }, (_, n) => registry.register(device(`unwritten-${n}`)));
    stall(800);
    for (const result of await Promise.all(calls)) expect(result).toEqual({ ok: true });
    expect(failedProbes()).toBe(0);
  });

  test('10,000 devices that reconnect at the same time get no error that Redis is unavailable', async () => {
    const { registry, failedProbes } = await open(redis.url);
    const problems = new Set<string | undefined>();
    startStalls();
    const register = async (id: string): Promise<void> => {
      for (;;) {
        try {
          expect(await registry.register(device(id))).toEqual({ ok: true });
          return;
        } catch (error) {
          // A device retries when it waited for too long. Any other error fails the test.
          if (!(error instanceof RegistryOverloadedError)) throw error;
        } finally {
          problems.add(registry.problem());
        }
      }
    };
    await Promise.all(Array.from({ length: DEVICES }, (_, n) => register(`returning-${n}`)));
    expect([...problems]).toEqual([undefined]);
    expect(failedProbes()).toBe(0);
    await until(() => (registry.live() ?? 0) >= DEVICES, 'every device is counted');
  });
});

describe('a Redis that is frozen', () => {
  test('fails every command without a reply, and later commands immediately', async () => {
    const { registry, failedProbes } = await open(redis.url);
    redis.process.kill('SIGSTOP');
    onCleanup(() => redis.process.kill('SIGCONT'));
    const calls = await Promise.allSettled(
      Array.from({ length: 1_000 }, (_, n) => registry.register(device(`frozen-${n}`))),
    );
    for (const call of calls)
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'REGISTRY_UNAVAILABLE' } });
    await until(() => registry.problem() !== undefined, 'the registry reports the problem');
    expect(registry.problem()).toMatch(/127\.0\.0\.1:\d+ sent no data/);
    expect(failedProbes()).toBeGreaterThan(0);
    await expect(registry.list({})).rejects.toThrow(RegistryUnavailableError);

    redis.process.kill('SIGCONT');
    await until(() => registry.problem() === undefined, 'the registry recovers');
    expect(await registry.register(device('frozen-1'))).toEqual({ ok: true });
  });
});

describe('a Cluster with one frozen node', () => {
  test('fails the commands of that node only, and all succeed when it continues', async () => {
    const { registry } = await open(cluster.url);
    const counted = await cluster.nodeOf('rustory:all');
    const frozen = cluster.nodes.find((node) => node !== counted);
    if (frozen === undefined) throw new Error('All nodes hold the same key.');
    const ids = Array.from({ length: 60 }, (_, n) => `cluster-${n}`);
    const isOnFrozen = async (id: string): Promise<boolean> =>
      (await cluster.nodeOf(`rustory:peer:${id}`)) === frozen;
    const affected = new Set<string>();
    for (const id of ids) if (await isOnFrozen(id)) affected.add(id);
    expect(affected.size).toBeGreaterThan(0);
    expect(affected.size).toBeLessThan(ids.length);
    const register = (): Promise<string[]> =>
      Promise.all(
        ids.map(async (id) => {
          const result = await registry.register(device(id, null)).catch((error: unknown) => error);
          if (result instanceof RegistryUnavailableError) return 'unavailable';
          expect(result).toEqual({ ok: true });
          return 'registered';
        }),
      );
    expect(new Set(await register())).toEqual(new Set(['registered']));

    frozen.process.kill('SIGSTOP');
    onCleanup(() => frozen.process.kill('SIGCONT'));
    const expected = ids.map((id) => (affected.has(id) ? 'unavailable' : 'registered'));
    // The second and third time, the connection of the client is unresponsive, closed or new.
    for (let attempt = 0; attempt < 3; attempt += 1) expect(await register()).toEqual(expected);
    await until(() => registry.problem()?.startsWith('1 of 3 masters') === true, 'the problem is reported');

    frozen.process.kill('SIGCONT');
    await until(async () => !(await register()).includes('unavailable'), 'all nodes respond');
    await until(() => registry.problem() === undefined, 'the problem is over');
  });
});
