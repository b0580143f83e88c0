// Passwords of Redis with characters that have a meaning in URLs, files and shells.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { startRedis } from '../../../testing/redis.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { readTrackerConfig } from '../config.ts';
import { createRedisRegistry } from './redis-registry.ts';

afterEach(cleanUp);

async function startWith(password: string) {
  const redis = await startRedis([], undefined, password);
  onCleanup(async () => redis.stop());
  return redis;
}

/** Registers a device with the Redis of the configuration. */
async function registerWith(environment: Record<string, string>): Promise<unknown> {
  const config = readTrackerConfig({ TRACKER_LISTEN: '127.0.0.1:0', ...environment });
  if (config.redis === undefined) throw new Error('The configuration has no Redis.');
  const log = createLogger('test', 'silent');
  const registry = createRedisRegistry(config.redis, { ttlSeconds: 60, maxPeers: 10, log });
  onCleanup(async () => registry.stop());
  await registry.start();
  return registry.register(device('p1'));
}

describe.each(['p@ss:w/rd', '100%', '%40', 'with space', 'quo"te\'s', 'ha#sh?', 'pässwörd', '\\back$lash`'])(
  'the password %s',
  (password) => {
    test('is accepted in a URL, percent-encoded', async () => {
      const redis = await startWith(password);
      const url = `redis://:${encodeURIComponent(password)}@127.0.0.1:${redis.port}`;
      expect(await registerWith({ TRACKER_REDIS_URL: url })).toEqual({ ok: true });
    });

    test('is accepted in a file, as it is', async () => {
      const redis = await startWith(password);
      const file = join(makeDirectory(), 'password');
      writeFileSync(file, `${password}\n`);
      expect(
        await registerWith({
          TRACKER_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
          TRACKER_REDIS_PASSWORD_FILE: file,
        }),
      ).toEqual({ ok: true });
    });
  },
);
