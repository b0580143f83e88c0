// Values of the umbrella chart that contradict each other.
import { UMBRELLA } from '../../testing/charts.ts';
import type { Contradiction } from './contradiction.ts';

export const UMBRELLA_CONTRADICTIONS: readonly Contradiction[] = [
  [
    'two subcharts of one name',
    UMBRELLA,
    { tracker: { fullnameOverride: 'same' }, relay: { fullnameOverride: 'same' } },
    'tracker and relay both have an object with the name same',
  ],
  [
    'a name of one subchart that is derived in the other',
    UMBRELLA,
    { tracker: { fullnameOverride: 'same-0' }, relay: { fullnameOverride: 'same' } },
    'tracker and relay both have an object with the name same-0',
  ],
  [
    'the name of the Redis',
    UMBRELLA,
    { relay: { fullnameOverride: 'rustory-redis' } },
    'Redis and relay both have an object with the name rustory-redis',
  ],
  [
    'the name of the Redis without relays',
    UMBRELLA,
    { tracker: { fullnameOverride: 'rustory-redis' }, relay: { enabled: false } },
    'tracker.fullnameOverride is the name of the Redis',
  ],
  [
    'two ServiceAccounts of one name',
    UMBRELLA,
    { tracker: { serviceAccount: { name: 'same' } }, relay: { serviceAccount: { name: 'same' } } },
    'tracker.serviceAccount.name and relay.serviceAccount.name are the same',
  ],
  [
    'a Redis with 225mb of the default limit',
    UMBRELLA,
    { redis: { maxMemory: '225mb' } },
    'redis.maxMemory (225mb) is more than 90 % of redis.resources.limits.memory (224Mi)',
  ],
  [
    'a Redis with 224mb of the default limit',
    UMBRELLA,
    { redis: { maxMemory: '224mb' } },
    'redis.maxMemory (224mb) is more than 90 %',
  ],
  [
    'a Redis with 0 of the default limit',
    UMBRELLA,
    { redis: { maxMemory: '0' } },
    'redis.maxMemory (0, which is no limit) is more than 90 %',
  ],
  [
    'a Redis with 1gb of 1G',
    UMBRELLA,
    { redis: { maxMemory: '1gb', resources: { limits: { memory: '1G' } } } },
    'redis.maxMemory (1gb) is more than 90 % of redis.resources.limits.memory (1G)',
  ],
  [
    'a Redis with 600000000 of 0.5Gi',
    UMBRELLA,
    { redis: { maxMemory: '600000000', resources: { limits: { memory: '0.5Gi' } } } },
    'redis.maxMemory (600000000) is more than 90 %',
  ],
  [
    'a Redis with 144mb of 150000000',
    UMBRELLA,
    { redis: { maxMemory: '144mb', resources: { limits: { memory: 150000000 } } } },
    'redis.maxMemory (144mb) is more than 90 %',
  ],
  [
    'a Redis with 144 of the default limit',
    UMBRELLA,
    { redis: { maxMemory: '144' } },
    'redis.maxMemory (144) is less than the 8 MiB',
  ],
  [
    'nothing to install',
    UMBRELLA,
    { tracker: { enabled: false }, relay: { enabled: false } },
    'tracker.enabled and relay.enabled are both false',
  ],
];
