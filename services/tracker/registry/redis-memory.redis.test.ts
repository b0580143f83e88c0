// The maximum number of peers, each with a record of the maximum size, fits into the Redis of the chart.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { ROOT } from '../../../testing/groups.ts';
import { peerIds } from '../../../testing/peer-ids.ts';
import { startRedis } from '../../../testing/redis.ts';
import { createLogger } from '../../shared/log.ts';
import { variables } from '../config.ts';
import { MAX_RECORD_BYTES, redisBytes } from '../record-size.ts';
import { createRegistrationParser } from '../registration.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { Registration } from './registry.ts';

afterEach(cleanUp);

const MAX_PEERS = Number(variables.TRACKER_MAX_PEERS.fallback);

/** The default `redis.maxMemory` of the chart, in bytes. */
function chartBytes(): number {
  const values = readFileSync(join(ROOT, 'charts/rustory-p2p/values.yaml'), 'utf8');
  const megabytes = /^  maxMemory: (\d+)mb$/m.exec(values)?.[1];
  return Number(megabytes) * 1024 * 1024;
}

/** Texts that a variant replaces. */
const MARK = '-00000-0-';
const [PEER = ''] = peerIds(1);

function text(start: string, bytes: number): string {
  return `${start}${MARK}`.padEnd(bytes, 'x');
}

/** The largest registration that a client can make, of one peer. */
function largest(): Registration {
  const meta = {
    user_id: 'user-00000'.padEnd(256, 'x'),
    device_id: text('device', 256),
    hostname: text('host', 256),
    ...Object.fromEntries(Array.from({ length: 20 }, (_, n) => [text(`field${n}`, 256), text('value', 256)])),
  };
  const addrs = Array.from({ length: 32 }, (_, n) => `/dns4/${text(`a${n}`, 200)}.example.com/tcp/${n + 1}`);
  const parsed = createRegistrationParser(false)(JSON.stringify({ peer_id: PEER, addrs, meta }));
  const record = parsed.ok ? parsed.request.read() : parsed;
  if (!record.ok) throw new Error(record.reason);
  const { registration } = record;
  expect(Buffer.byteLength(registration.json)).toBeGreaterThan(MAX_RECORD_BYTES - 300);
  expect(Buffer.byteLength(registration.json)).toBeLessThanOrEqual(MAX_RECORD_BYTES);
  return registration;
}

/** A registration with other texts of the same length. */
function variant(base: Registration, peerId: string, index: number, round: number): Registration {
  const mark = `-${String(index).padStart(5, '0')}-${round}-`;
  const json = JSON.stringify(base)
    .replaceAll(MARK, mark)
    .replaceAll('user-00000', `user${mark.slice(0, 6)}`)
    .replaceAll(PEER, peerId);
  return JSON.parse(json) as Registration;
}

test('the memory of the chart is what the maximum number of peers needs', () => {
  expect(chartBytes()).toBeGreaterThanOrEqual(redisBytes(MAX_PEERS));
});

test('the largest registrations of the maximum number of peers fit, with claims and holds', async () => {
  const redis = await startRedis(['--maxmemory', String(chartBytes()), '--maxmemory-policy', 'noeviction']);
  onCleanup(() => redis.stop());
  const registry = createRedisRegistry(parseRedisUrl(redis.url), {
    ttlSeconds: 3_600,
    maxPeers: MAX_PEERS,
    log: createLogger('test', 'silent'),
  });
  onCleanup(() => registry.stop());
  await registry.start();
  const ids = peerIds(MAX_PEERS);
  const base = largest();
  // Each peer registers with several device ids and host names, so that it fills the claims.
  for (const round of [0, 1, 2])
    for (let first = 0; first < MAX_PEERS; first += 500)
      await Promise.all(
        ids.slice(first, first + 500).map(async (peerId, offset) => {
          const registration = variant(base, peerId, first + offset, round);
          const owner = registration.userId ?? '';
          expect(await registry.register(registration, owner)).toMatchObject({ ok: true });
        }),
      );
  expect(registry.problem()).toBeUndefined();
  const used = Number(/used_memory:(\d+)/.exec(String(await redis.command('INFO', 'memory')))?.[1]);
  expect(used).toBeLessThanOrEqual(redisBytes(MAX_PEERS));
  expect((await registry.list({})).peers).toHaveLength(MAX_PEERS);
  expect(registry.problem()).toBeUndefined();
});
