import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { startRedis } from '../../../testing/redis.ts';
import { createRedisClient, type RedisClient } from './redis-client.ts';
import { enrollHub, forgetHub, readHubUsers } from './redis-hubs.ts';
import type { Store } from './redis-store.ts';
import { parseRedisUrl } from './redis-url.ts';

afterEach(cleanUp);

test('a hub that registers while the last other one leaves keeps its user among those with a hub', async () => {
  const redis = await startRedis();
  onCleanup(() => redis.stop());
  const address = parseRedisUrl(redis.url);
  const client = createRedisClient(address, address.nodes);
  onCleanup(() => client.disconnect());
  await client.connect();
  const store = { client, ttlSeconds: 60 } as Store;
  await enrollHub(store, 'alice', 'old');
  expect(await readHubUsers(store)).toEqual(['alice']);
  // The other hub registers after the hubs were counted, and before the user leaves.
  const raced = Object.create(client, {
    countLive: {
      value: async (...given: Parameters<RedisClient['countLive']>) => {
        const live = await client.countLive(...given);
        await enrollHub(store, 'alice', 'new');
        return live;
      },
    },
  }) as RedisClient;
  await forgetHub({ ...store, client: raced }, 'alice', 'old');
  expect(await readHubUsers(store)).toEqual(['alice']);
  await forgetHub(store, 'alice', 'new');
  expect(await readHubUsers(store)).toEqual([]);
});
