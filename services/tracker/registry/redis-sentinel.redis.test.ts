import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { type SentinelSetup, startSentinelSetup } from '../../../testing/redis-topologies.ts';
import { until } from '../../../testing/wait.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import { device, type SuiteOptions, suiteOfRegistry } from './registry.suite.ts';
import { type Registry, RegistryUnavailableError } from './registry.ts';

const PASSWORD = 'a-password';

/** Index of the test of the suite before which the failover happens. */
const FAILOVER_TEST = 12;

let shared: SentinelSetup;
let frozen: SentinelSetup;
let withLogin: SentinelSetup[];

beforeAll(async () => {
  [shared, frozen, ...withLogin] = await Promise.all([
    startSentinelSetup(),
    startSentinelSetup(),
    startSentinelSetup({ password: PASSWORD, isForSentinels: true }),
    startSentinelSetup({ password: PASSWORD, isForSentinels: false }),
  ]);
});
afterAll(async () => void (await Promise.all([shared, frozen, ...withLogin].map((setup) => setup.stop()))));
afterEach(cleanUp);

async function open(setup: SentinelSetup, options: Partial<SuiteOptions> = {}): Promise<Registry> {
  const log = createLogger('test', 'silent');
  const registry = createRedisRegistry(parseRedisUrl(setup.url), {
    ttlSeconds: 60,
    maxPeers: 1_000,
    ...options,
    log,
  });
  onCleanup(() => registry.stop());
  await registry.start();
  return registry;
}

let opened = 0;
suiteOfRegistry('the registry with Sentinels, and a failover between two tests', async (options) => {
  opened += 1;
  if (opened === FAILOVER_TEST) await shared.failOver();
  await shared.master().command('FLUSHALL');
  const [registry, replica] = await Promise.all([open(shared, options), open(shared, options)]);
  const close = async (): Promise<void> => void (await Promise.all([registry.stop(), replica.stop()]));
  return { registry, replica, close };
});

describe('with Sentinels', () => {
  test.each([0, 1])('a registry logs in with a password (Sentinels without it: %s)', async (index) => {
    const setup = withLogin[index];
    if (setup === undefined) throw new Error('The setup was not started.');
    const [registry, replica] = await Promise.all([open(setup), open(setup)]);
    expect(registry.problem()).toBeUndefined();
    await registry.register(device('p1'));
    expect((await replica.list({ userId: 'alice' })).peers).toHaveLength(1);
  });

  test('calls fail while the master is frozen, and succeed after the failover to the replica', async () => {
    const registry = await open(frozen);
    const old = frozen.master();
    expect(await registry.register(device('p1'))).toEqual({ ok: true });
    old.process.kill('SIGSTOP');
    await expect(registry.register(device('p1'))).rejects.toThrow(RegistryUnavailableError);
    await until(() => registry.problem() !== undefined, 'the registry reports the problem');
    expect(registry.problem()).toContain(`127.0.0.1:${old.port} sent no data`);
    await frozen.replicaTookOver();
    await until(() => registry.problem() === undefined, 'the registry uses the new master');
    expect(await registry.register(device('p2'))).toEqual({ ok: true });
    expect(await frozen.master().command('EXISTS', 'rustory:peer:p2')).toBe(1);
  });
});
