import { expect, test } from '@jest/globals';
import { Command, Redis } from 'ioredis';
import manifest from '../../../package.json' with { type: 'json' };
import { missingMembers } from '../../../testing/private-members.ts';

const FILE = 'services/tracker/registry/redis-watchdog.ts';

test('ioredis is pinned to one version', () => {
  expect(manifest.dependencies.ioredis).toMatch(/^\d/);
});

test('ioredis has the members that redis-watchdog.ts replaces and reads', () => {
  const redis = new Redis({ lazyConnect: true });
  const members = { packageName: 'ioredis', file: FILE };
  expect([
    ...missingMembers({ ...members, owner: 'Redis', object: redis, functions: ['sendCommand'] }),
    ...missingMembers({ ...members, owner: 'Command', object: new Command('PING'), fields: ['isSettled'] }),
  ]).toEqual([]);
  redis.disconnect();
});
