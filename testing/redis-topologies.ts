// Redis with Sentinels and Redis Cluster for tests, as real processes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.ts';
import { freePort, type RedisProcess, startProcess, startRedis } from './redis.ts';

export interface SentinelSetup {
  readonly url: string;
  /** Kills the master and resolves when the replica took over. */
  failOver(): Promise<void>;
  /** Resolves when every Sentinel announces the replica as the master, and it is one. */
  replicaTookOver(): Promise<void>;
  /** The process that is currently the master. */
  master(): RedisProcess;
  /** The processes of Redis and of the Sentinels. */
  readonly servers: readonly RedisProcess[];
  readonly sentinels: readonly RedisProcess[];
  stop(): Promise<void>;
}

const MASTER_NAME = 'rustory';

/** Time in milliseconds after which the Sentinels consider an unresponsive master down. */
const DOWN_AFTER_MS = 1_000;

export interface SentinelLogin {
  readonly password: string;
  /** The user of Redis with this password. Default: the default user. */
  readonly username?: string;
  /** What the Sentinels require: nothing, or a password, or that of a user. */
  readonly sentinels?: { readonly password: string; readonly username?: string };
}

/** Starts a master, a replica that is in sync with it, and three Sentinels. */
export async function startSentinelSetup(login?: SentinelLogin): Promise<SentinelSetup> {
  const password = login?.password;
  const masterAuth = password === undefined ? [] : ['--masterauth', password];
  const user =
    login?.username === undefined
      ? []
      : ['--user', login.username, 'on', `>${login.password}`, '~*', '&*', '+@all'];
  const first = await startRedis([...masterAuth, ...user], undefined, password);
  const replicaOf = ['--replicaof', '127.0.0.1', String(first.port)];
  const second = await startRedis([...masterAuth, ...user, ...replicaOf], undefined, password);
  // Otherwise a failover would lose earlier writes.
  await until(
    async () => String(await second.command('INFO', 'replication')).includes('master_link_status:up'),
    'the replica is in sync',
  );
  const { sentinels, stopSentinels } = await startSentinels(first, login);

  let master = first;
  async function replicaTookOver(): Promise<void> {
    await until(async () => {
      const masters = await Promise.all(
        sentinels.map((sentinel) => sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)),
      );
      return masters.every((address) => Number((address as string[])[1]) === second.port);
    }, 'the Sentinels agree on the new master');
    await until(async () => String(await second.command('ROLE')).startsWith('master'), 'it is master');
    master = second;
  }
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const { username = '' } = login ?? {};
  return {
    url: `redis+sentinel://${password === undefined ? '' : `${username}:${password}@`}${hosts}/${MASTER_NAME}`,
    servers: [first, second],
    sentinels,
    master: () => master,
    replicaTookOver,
    async failOver() {
      await first.stop();
      await replicaTookOver();
    },
    stop: async () => void (await Promise.all([stopSentinels(), first.stop(), second.stop()])),
  };
}

/** The number of `SENTINELS` or `REPLICAS` that a Sentinel knows. */
async function countKnown(sentinel: RedisProcess, list: string): Promise<number> {
  return ((await sentinel.command('SENTINEL', list, MASTER_NAME)) as unknown[]).length;
}

async function startSentinels(
  master: RedisProcess,
  login: SentinelLogin | undefined,
): Promise<{ sentinels: RedisProcess[]; stopSentinels: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'rustory-sentinel-'));
  const password = login?.password;
  const sentinels = await Promise.all(
    [1, 2, 3].map(async (number) => {
      const config = join(directory, `sentinel-${number}.conf`);
      const lines = [
        `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 2`,
        `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${MASTER_NAME} 5000`,
      ];
      if (password !== undefined) lines.push(`sentinel auth-pass ${MASTER_NAME} ${password}`);
      if (login?.sentinels !== undefined) lines.push(`sentinel sentinel-pass ${login.sentinels.password}`);
      const own = login?.sentinels;
      if (own?.username !== undefined) lines.push(`user ${own.username} on >${own.password} ~* &* +@all`);
      await writeFile(config, `${lines.join('\n')}\n`);
      return startProcess('redis-server', await freePort(), [config, '--sentinel'], own?.password);
    }),
  );
  await until(async () => {
    const counts = await Promise.all(
      sentinels.map(async (sentinel) => [
        await countKnown(sentinel, 'SENTINELS'),
        await countKnown(sentinel, 'REPLICAS'),
      ]),
    );
    return counts.every(([others, replicas]) => others === 2 && replicas === 1);
  }, 'the Sentinels know each other and the replica');
  const stopSentinels = async (): Promise<void> => {
    await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
    await rm(directory, { recursive: true });
  };
  return { sentinels, stopSentinels };
}

export interface ClusterSetup {
  readonly url: string;
  readonly nodes: readonly RedisProcess[];
  /** The node that holds a key. */
  nodeOf(key: string): Promise<RedisProcess>;
  stop(): Promise<void>;
}

/** The first slot of each of three masters, and the end. */
const SLOTS = [0, 5_461, 10_923, 16_384];

/**
 * Starts three masters that share the slots.
 *
 * @param nodeTimeoutMs time in milliseconds after which the nodes consider an unresponsive node failed
 */
export async function startCluster(nodeTimeoutMs = 2_000): Promise<ClusterSetup> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)];
  const nodes = await Promise.all([1, 2, 3].map(() => startRedis(args)));
  for (const [index, node] of nodes.entries()) {
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    await node.command('CLUSTER', 'ADDSLOTSRANGE', SLOTS[index] ?? 0, (SLOTS[index + 1] ?? 0) - 1);
    await node.command('CLUSTER', 'MEET', '127.0.0.1', nodes[0]?.port ?? 0);
  }
  for (const node of nodes)
    await until(async () => {
      const info = String(await node.command('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    }, 'the Cluster is complete');
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    async nodeOf(key) {
      const slot = Number(await nodes[0]?.command('CLUSTER', 'KEYSLOT', key));
      const node = nodes[SLOTS.findLastIndex((first) => first <= slot)];
      if (node === undefined) throw new Error(`No node holds the key ${key}.`);
      return node;
    },
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  };
}
