import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import {
  type SentinelLogin,
  type SentinelSetup,
  startSentinelSetup,
} from '../../../testing/redis-topologies.ts';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';
import { type SuiteOptions, suiteOfRegistry } from './registry.suite.ts';
import { type Registry, RegistryUnavailableError } from './registry.ts';

const PASSWORD = 'a-password';

/** Index of the test of the suite before which the failover happens. */
const FAILOVER_TEST = 12;

let shared: SentinelSetup;
let frozen: SentinelSetup;

beforeAll(async () => {
  [shared, frozen] = await Promise.all([startSentinelSetup(), startSentinelSetup()]);
});
afterAll(async () => void (await Promise.all([shared, frozen].map((setup) => setup.stop()))));
afterEach(cleanUp);

async function open(
  setup: SentinelSetup,
  options: Partial<SuiteOptions> = {},
  settings: Partial<RedisAddress> = {},
): Promise<Registry> {
  const log = createLogger('test', 'silent');
  const registry = createRedisRegistry(
    { ...parseRedisUrl(setup.url), ...settings },
    {
      ttlSeconds: 60,
      maxPeers: 1_000,
      ...options,
      log,
    },
  );
  onCleanup(() => registry.stop());
  await registry.start();
  return registry;
}

/** A registry that has connected. `start` does not wait for that longer than for one attempt. */
async function openConnected(...given: Parameters<typeof open>): Promise<Registry> {
  const registry = await open(...given);
  await until(() => registry.problem() === undefined, 'the registry has connected');
  return registry;
}

let opened = 0;
suiteOfRegistry('the registry with Sentinels, and a failover between two tests', async (options) => {
  opened += 1;
  if (opened === FAILOVER_TEST) await shared.failOver();
  await shared.master().command('FLUSHALL');
  const [registry, replica] = await Promise.all([
    openConnected(shared, options),
    openConnected(shared, options),
  ]);
  const close = async (): Promise<void> => void (await Promise.all([registry.stop(), replica.stop()]));
  return { registry, replica, close };
});

describe('with Sentinels', () => {
  const logins: [string, SentinelLogin, Partial<RedisAddress>][] = [
    ['a password of Redis only', { password: PASSWORD }, {}],
    ['one password for all', { password: PASSWORD, sentinels: { password: PASSWORD } }, {}],
    ['a user of Redis only', { username: 'tracker', password: PASSWORD }, {}],
    [
      'a user of Redis, whose password the Sentinels have too',
      { username: 'tracker', password: PASSWORD, sentinels: { password: PASSWORD } },
      {},
    ],
    [
      'a user of Redis, and another password of the Sentinels',
      { username: 'tracker', password: PASSWORD, sentinels: { password: 'other' } },
      { sentinelLogin: { username: undefined, password: 'other' } },
    ],
    [
      'a user of the Sentinels',
      { password: PASSWORD, sentinels: { username: 'watcher', password: 'other' } },
      { sentinelLogin: { username: 'watcher', password: 'other' } },
    ],
  ];
  test.each(logins)('a registry logs in with %s', async (_, login, settings) => {
    const setup = await startSentinelSetup(login);
    onCleanup(() => setup.stop());
    const [registry, replica] = await Promise.all([
      openConnected(setup, {}, settings),
      openConnected(setup, {}, settings),
    ]);
    await registry.register(device('p1'));
    expect((await replica.list({ userId: 'alice' })).peers).toHaveLength(1);
  });

  test('a wrong password of the Sentinels is reported, without repeating it', async () => {
    const setup = await startSentinelSetup({ password: PASSWORD, sentinels: { password: 'other' } });
    onCleanup(() => setup.stop());
    const registry = await open(setup, {}, { sentinelLogin: { username: undefined, password: 'wrong-one' } });
    await until(() => registry.problem()?.includes('WRONGPASS') === true, 'the reason is reported');
    expect(registry.problem()).toContain('Sentinel');
    expect(registry.problem()).not.toContain('wrong-one');
  });

  test('a master that the Sentinels do not know is reported', async () => {
    const registry = await open(shared, {}, { masterName: 'unknown-one' });
    await until(() => registry.problem()?.includes('unknown-one') === true, 'the reason is reported');
  });

  test('calls fail while the master is frozen, and succeed after the failover to the replica', async () => {
    const registry = await openConnected(frozen);
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
