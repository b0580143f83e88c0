import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { startRedis } from '../../../testing/redis.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';

afterEach(cleanUp);

test('registrations that arrive together, with and without a user, each get their own outcome', async () => {
  const redis = await startRedis();
  onCleanup(() => redis.stop());
  const registry = createRedisRegistry(parseRedisUrl(redis.url), {
    ttlSeconds: 60,
    maxPeers: 101,
    log: createLogger('test', 'silent'),
  });
  onCleanup(() => registry.stop());
  await registry.start();
  await registry.register(device('kept', 'alice'), 'alice');
  const outcomes = await Promise.all([
    registry.register(device('kept', 'bob'), 'bob'),
    ...Array.from({ length: 100 }, async (_, n) =>
      registry.register(device(`p${n}`, n % 3 === 0 ? null : `user${n % 7}`)),
    ),
    registry.register(device('one too many', 'bob')),
    registry.register(device('p2', 'bob')),
    registry.register(device('kept', 'alice'), 'alice'),
  ]);
  const registered = Array.from({ length: 100 }, () => 'registered');
  expect(outcomes.map((outcome) => (outcome.ok ? 'registered' : outcome.reason))).toEqual([
    'foreign',
    ...registered,
    'full',
    'registered',
    'registered',
  ]);
  const idsOf = async (userId: string): Promise<string[]> =>
    (await registry.list({ userId })).peers.map(({ peerId }) => peerId);
  expect(await idsOf('bob')).toEqual(['p2']);
  expect(await idsOf('alice')).toEqual(['kept']);
  expect(await idsOf('user2')).not.toContain('p2');
  const all = await registry.list({});
  expect(all.peers).toHaveLength(101);
  expect(all.peers.slice(0, 3).map(({ peerId }) => peerId)).toEqual(['kept', 'p2', 'p99']);
});
