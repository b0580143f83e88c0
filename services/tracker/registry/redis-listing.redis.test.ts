// Listings that a replica keeps, while other replicas register.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRandom } from '../../../testing/random.ts';
import { type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { until } from '../../../testing/wait.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { ListedPeer, ListQuery, RemoteRegistry } from './registry.ts';

let redis: RedisProcess;
let replicas: readonly [RemoteRegistry, RemoteRegistry];

function createReplica(): RemoteRegistry {
  const options = { ttlSeconds: 60, maxPeers: 1_000, log: createLogger('test', 'silent') };
  return createRedisRegistry(parseRedisUrl(redis.url), options);
}

beforeAll(async () => {
  redis = await startRedis();
  replicas = [createReplica(), createReplica()];
  await Promise.all(replicas.map(async (replica) => replica.start()));
});

afterAll(async () => {
  await Promise.all(replicas.map(async (replica) => replica.stop()));
  await redis.stop();
});

/** A page is read anew each time. */
async function readAnew(query: ListQuery): Promise<ListedPeer[]> {
  const { peers } = await replicas[1].list({ ...query, limit: 1_000 });
  return peers.toSorted((a, b) => b.seenUnixMicros - a.seenUnixMicros);
}

const versionOf = (peerId: string, userId: string, version: number) => {
  const registration = device(peerId, userId);
  return { ...registration, json: JSON.stringify({ peer_id: peerId, addrs: [], meta: { é: version } }) };
};

describe('listings of a replica that others register with', () => {
  test('are the same as if they were read anew, whatever changed', async () => {
    const random = createRandom(20_261_129);
    const [replica, other] = replicas;
    const below = (limit: number): number => Math.floor(random() * limit);
    let last: { readonly json: string; readonly content: object | undefined } | undefined;
    for (let round = 0; round < 150; round += 1) {
      for (let changes = below(4); changes > 0; changes -= 1) {
        // The longest listing is of several pieces, and the shortest is empty.
        const [peerId, userId] = [`p${below(round < 100 ? 90 : 5)}`, below(8) === 0 ? 'bob' : 'alice'];
        const kind = random();
        if (kind < 0.7) await other.register(versionOf(peerId, userId, 0));
        else if (kind < 0.8) await other.register(versionOf(peerId, userId, round));
        else if (kind < 0.9) await redis.command('DEL', `rustory:peer:${peerId}`);
        else await other.unregister(peerId);
      }
      if (round === 120) await redis.command('FLUSHALL');
      for (const query of [{ userId: 'alice' }, { userId: 'bob' }, {}]) {
        const { peers } = await replica.list(query);
        expect([round, query, peers]).toEqual([round, query, await readAnew(query)]);
      }
      const { peers, content } = await replica.list({});
      const json = JSON.stringify(peers.map((peer) => peer.json).toSorted());
      if (content !== undefined && content === last?.content) expect(json).toBe(last.json);
      last = { json, content };
    }
  });

  test('contain every registration that was confirmed before they were requested', async () => {
    const [replica, other] = replicas;
    await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        for (let version = 1; version <= 25; version += 1) {
          const registration = versionOf(`q${n}`, 'carol', version);
          await (n % 2 === 0 ? replica : other).register(registration);
          const { peers } = await replica.list({ userId: 'carol' });
          expect(peers.find(({ peerId }) => peerId === `q${n}`)?.json).toBe(registration.json);
        }
      }),
    );
  });

  test('end with an error for everyone who waits while Redis does not respond, and go on afterwards', async () => {
    const [replica] = replicas;
    redis.process.kill('SIGSTOP');
    const waiting = Promise.allSettled(
      Array.from({ length: 5 }, async () => replica.list({ userId: 'carol' })),
    );
    const outcomes = (await waiting).map((outcome) =>
      outcome.status === 'rejected' ? (outcome.reason as Error).name : outcome.status,
    );
    redis.process.kill('SIGCONT');
    expect(new Set(outcomes)).toEqual(new Set(['RegistryUnavailableError']));
    const isBack = async (): Promise<boolean> => {
      const page = await replica.list({ userId: 'carol' }).catch(() => undefined);
      return page?.peers.length === 20;
    };
    await until(isBack, 'the listing is read again');
  });
});
