// Values of the umbrella chart that contradict each other.
import { UMBRELLA } from '../../testing/charts.ts';
import type { Contradiction } from './contradiction.ts';

const HUB = { enabled: true, users: [{ name: 'ada', userId: 'ada' }] };

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
    'a hub without trackers',
    UMBRELLA,
    { tracker: { enabled: false }, hub: HUB },
    'hub.network.trackers is empty, and tracker.enabled is false',
  ],
  [
    'a hub without relays',
    UMBRELLA,
    { relay: { enabled: false }, hub: { ...HUB, network: { swarmKeySecret: 'key' } } },
    'hub.network.relays is empty, and relay.enabled is false',
  ],
  [
    'a hub without a swarm key',
    UMBRELLA,
    { relay: { enabled: false }, hub: HUB },
    'hub.network.swarmKeySecret is empty, and relay.enabled is false',
  ],
  [
    'a star without hubs',
    UMBRELLA,
    { hub: { star: true } },
    'hub.star has no effect when hub.enabled is false',
  ],
  [
    'a star without tokens',
    UMBRELLA,
    { tracker: { auth: { enabled: false } }, hub: { ...HUB, star: true } },
    'hub.star requires tokens',
  ],
  [
    'a star of other trackers',
    UMBRELLA,
    { tracker: { enabled: false }, hub: { ...HUB, star: true, network: { trackers: ['https://t.test'] } } },
    'hub.star sets a variable of the trackers of this release, but tracker.enabled is false',
  ],
  [
    'a star whose hubs have no token',
    UMBRELLA,
    {
      hub: { ...HUB, star: true, tokens: { existingSecret: '' }, network: { trackers: ['https://t.test'] } },
    },
    'hub.star requires a hub that registers with a token',
  ],
  [
    'a star that a variable turns off',
    UMBRELLA,
    { tracker: { config: { TRACKER_STAR: false } }, hub: { ...HUB, star: true } },
    'hub.star is true, but tracker.config.TRACKER_STAR is false',
  ],
  [
    'tokens of hubs at trackers without tokens',
    UMBRELLA,
    { tracker: { auth: { enabled: false } }, hub: { ...HUB, tokens: { existingSecret: 'tokens' } } },
    'hub.tokens.existingSecret has no effect when tracker.auth.enabled is false',
  ],
  [
    'hubs without users in the umbrella',
    UMBRELLA,
    { hub: { enabled: true } },
    'hub.users is empty, and each hub belongs to one user',
  ],
  [
    'a hub with the name of a relay',
    UMBRELLA,
    { hub: { ...HUB, fullnameOverride: 'rustory-relay' } },
    'relay and hub both have an object with the name rustory-relay',
  ],
  [
    'nothing to install',
    UMBRELLA,
    { tracker: { enabled: false }, relay: { enabled: false } },
    'tracker.enabled and relay.enabled are both false',
  ],
];
