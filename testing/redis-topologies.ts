// Redis as operators run it for availability: a master with Sentinels, and a Cluster, of real processes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.ts';
import { freePort, type RedisProcess, startProcess, startRedis } from './redis.ts';

export interface SentinelGrid {
  readonly url: string;
  /** Ends the master as a crash does, and resolves when the Sentinels agree on the replica in its place. */
  failOver(): Promise<void>;
  /** The process that is master now. */
  master(): RedisProcess;
  stop(): Promise<void>;
}

const MASTER_NAME = 'rustory';

/** Sentinels take a master for dead after this many milliseconds. */
const DOWN_AFTER_MS = 1_000;

/** A password for Redis, and whether the Sentinels have it too. */
export interface SentinelLogin {
  readonly password: string;
  readonly isForSentinels: boolean;
}

/** A master, a replica in step with it, and three Sentinels. */
export async function startSentinelGrid(login?: SentinelLogin): Promise<SentinelGrid> {
  const directory = await mkdtemp(join(tmpdir(), 'rustory-sentinel-'));
  const password = login?.password;
  const masterAuth = password === undefined ? [] : ['--masterauth', password];
  const first = await startRedis(masterAuth, undefined, password);
  const replicaOf = ['--replicaof', '127.0.0.1', String(first.port)];
  const second = await startRedis([...masterAuth, ...replicaOf], undefined, password);
  // Without this, what is written before the failover is lost.
  await until(
    async () => String(await second.command('INFO', 'replication')).includes('master_link_status:up'),
    'in step',
  );
  const sentinels = await Promise.all(
    [1, 2, 3].map(async (number) => {
      const config = join(directory, `sentinel-${number}.conf`);
      const lines = [
        `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${first.port} 2`,
        `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${MASTER_NAME} 5000`,
      ];
      if (password !== undefined) lines.push(`sentinel auth-pass ${MASTER_NAME} ${password}`);
      await writeFile(config, `${lines.join('\n')}\n`);
      const own = login?.isForSentinels === true ? password : undefined;
      return startProcess('redis-server', await freePort(), [config, '--sentinel'], own);
    }),
  );
  const known = async (sentinel: RedisProcess, what: string): Promise<number> =>
    ((await sentinel.command('SENTINEL', what, MASTER_NAME)) as unknown[]).length;
  await until(async () => {
    const counts = await Promise.all(
      sentinels.map(async (s) => [await known(s, 'SENTINELS'), await known(s, 'REPLICAS')]),
    );
    return counts.every(([others, replicas]) => others === 2 && replicas === 1);
  }, 'the Sentinels know each other and the replica');

  let master = first;
  return {
    url: `redis+sentinel://${password === undefined ? '' : `:${password}@`}${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER_NAME}`,
    master: () => master,
    async failOver() {
      await first.stop();
      master = second;
      await until(async () => {
        const answers = await Promise.all(
          sentinels.map((s) => s.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)),
        );
        return answers.every((address) => Number((address as string[])[1]) === second.port);
      }, 'the Sentinels agree on the new master');
      await until(async () => String(await second.command('ROLE')).startsWith('master'), 'it is master');
    },
    async stop() {
      await Promise.all([...sentinels, first, second].map((process) => process.stop()));
      await rm(directory, { recursive: true });
    },
  };
}

export interface ClusterGrid {
  readonly url: string;
  readonly nodes: readonly RedisProcess[];
  stop(): Promise<void>;
}

/** Three masters that share the slots. */
export async function startClusterGrid(): Promise<ClusterGrid> {
  const nodes = await Promise.all(
    [1, 2, 3].map(() => startRedis(['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'])),
  );
  const slots = [0, 5_461, 10_923, 16_384];
  for (const [index, node] of nodes.entries()) {
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    await node.command('CLUSTER', 'ADDSLOTSRANGE', slots[index] ?? 0, (slots[index + 1] ?? 0) - 1);
    await node.command('CLUSTER', 'MEET', '127.0.0.1', nodes[0]?.port ?? 0);
  }
  for (const node of nodes)
    await until(async () => {
      const info = String(await node.command('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    }, 'the Cluster is whole');
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  };
}
