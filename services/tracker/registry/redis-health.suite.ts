// What the tests of the health of Redis share.
import { expect } from '@jest/globals';
import { onCleanup } from '../../../testing/cleanup.ts';
import { type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import type { RedisProblem } from './redis-problems.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';
import { type RemoteRegistry, RegistryUnavailableError } from './registry.ts';

export async function startServer(args: readonly string[] = []): Promise<RedisProcess> {
  const redis = await startRedis(args);
  onCleanup(() => redis.stop());
  return redis;
}

export interface OpenRegistry {
  readonly registry: RemoteRegistry;
  /** The reason of the last probe. */
  reason(): RedisProblem | undefined;
  errors: RedisProblem[];
}

export async function open(address: string | (() => RedisAddress)): Promise<OpenRegistry> {
  let last: RedisProblem | undefined;
  const errors: RedisProblem[] = [];
  const registry = createRedisRegistry(typeof address === 'string' ? parseRedisUrl(address) : address, {
    ttlSeconds: 60,
    maxPeers: 1_000,
    log: createLogger('test', 'silent'),
    onProbe: (_, reason) => void (last = reason),
    onError: (reason) => void errors.push(reason),
  });
  onCleanup(() => registry.stop());
  await registry.start();
  return { registry, reason: () => last, errors };
}

async function isDone(call: Promise<unknown>): Promise<boolean> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error !== undefined) expect(error).toBeInstanceOf(RegistryUnavailableError);
  return error === undefined;
}

/** Whether a registration and a listing succeed. */
export async function outcomes({ registry }: OpenRegistry): Promise<{ writes: boolean; reads: boolean }> {
  return {
    writes: await isDone(registry.register(device('p1'), 'alice')),
    reads: await isDone(registry.list({ userId: 'alice' })),
  };
}
