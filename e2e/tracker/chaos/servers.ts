// Redis servers that can be frozen, killed and started again with their state: one server, Sentinels or a Cluster.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, type RedisProcess, startProcess, startRedis } from '../../../testing/redis.ts';

/** A server that survives its processes. */
export interface Server {
  readonly name: string;
  readonly port: number;
  freeze(): void;
  thaw(): void;
  kill(): Promise<void>;
  /** Starts the process if it does not run. */
  start(): Promise<void>;
}

export interface Topology {
  readonly url: string;
  readonly servers: readonly Server[];
  /** Whether Redis can do its work again. */
  isReady(): Promise<boolean>;
  /** Lets another server be the master; does nothing where there is none. */
  failOver(): Promise<void>;
  /** Changes the password of all servers, and disconnects all clients. */
  changePassword(password: string): Promise<void>;
  stop(): Promise<void>;
}

/** One server, one server with a Sentinel, a master and a replica with three Sentinels, or a Cluster of three masters. */
export type Kind = 'one' | 'pair' | 'sentinel' | 'cluster';

const MASTER = 'rustory';

/** Deadline for one command to a server, in milliseconds. A frozen server does not answer. */
const COMMAND_MS = 1_000;

async function command(port: number, password: string | undefined, ...words: string[]): Promise<unknown> {
  const [name = '', ...args] = words;
  const client = new Redis({
    port,
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    connectTimeout: COMMAND_MS,
    commandTimeout: COMMAND_MS,
    ...(password === undefined ? {} : { password }),
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

function createServer(name: string, port: number, launch: () => Promise<RedisProcess>): Server {
  let running: RedisProcess | undefined;
  let starting: Promise<void> = Promise.resolve();
  async function launchAfter(earlier: Promise<void>): Promise<void> {
    await earlier;
    running ??= await launch();
  }

  return {
    name,
    port,
    freeze: () => void running?.process.kill('SIGSTOP'),
    thaw: () => void running?.process.kill('SIGCONT'),
    async kill() {
      const killed = running;
      running = undefined;
      await killed?.stop();
    },
    start() {
      starting = launchAfter(starting);
      return starting;
    },
  };
}

export async function startTopology(kind: Kind, password: string): Promise<Topology> {
  const directory = await mkdtemp(join(tmpdir(), 'rustory-chaos-'));
  const topology = await TOPOLOGIES[kind](password, directory);
  return {
    ...topology,
    async stop() {
      await Promise.all(topology.servers.map((server) => server.kill()));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

type Started = Omit<Topology, 'stop'>;

const TOPOLOGIES: Record<Kind, (password: string, directory: string) => Promise<Started>> = {
  one: startOne,
  pair: (password, directory) => startSentinels(password, directory, 1, 1),
  sentinel: (password, directory) => startSentinels(password, directory, 2, 3),
  cluster: startClusterNodes,
};

async function startOne(first: string): Promise<Started> {
  let password = first;
  const port = await freePort();
  const server = createServer('redis', port, () => startRedis([], port, password));
  await server.start();
  return {
    url: `redis://127.0.0.1:${port}`,
    servers: [server],
    isReady: async () => (await command(port, password, 'SET', 'chaos', '1', 'PX', '1000')) === 'OK',
    failOver: async () => {},
    async changePassword(next) {
      await command(port, password, 'CONFIG', 'SET', 'requirepass', next);
      password = next;
      await command(port, password, 'CLIENT', 'KILL', 'TYPE', 'normal');
    },
  };
}

async function startSentinels(
  first: string,
  directory: string,
  redisCount: number,
  sentinelCount: number,
): Promise<Started> {
  let password = first;
  const ports = await Promise.all(Array.from({ length: redisCount + sentinelCount }, freePort));
  const redisPorts = ports.slice(0, redisCount);
  const sentinelPorts = ports.slice(redisCount);
  const [masterPort = 0] = redisPorts;
  const redis = redisPorts.map((port, index) =>
    createServer(`redis-${index}`, port, () => {
      const replication = index === 0 ? [] : ['--replicaof', `127.0.0.1 ${masterPort}`];
      return startRedis(['--masterauth', password, ...replication], port, password);
    }),
  );
  const sentinels = sentinelPorts.map((port, index) => {
    const config = join(directory, `sentinel-${index}.conf`);
    return createServer(`sentinel-${index}`, port, async () => {
      // A Sentinel writes its state to this file, with a folder that belongs to one process.
      const state = await readFile(config, 'utf8');
      await writeFile(config, state.replaceAll(/^dir .*\n/gm, ''));
      const started = await startProcess('redis-server', port, [config, '--sentinel']);
      await command(port, undefined, 'SENTINEL', 'SET', MASTER, 'auth-pass', password);
      return started;
    });
  });
  for (const index of sentinels.keys())
    await writeFile(
      join(directory, `sentinel-${index}.conf`),
      `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} ${Math.ceil(sentinelCount / 2)}\n` +
        `sentinel down-after-milliseconds ${MASTER} 1000\nsentinel failover-timeout ${MASTER} 3000\n`,
    );
  for (const server of [...redis, ...sentinels]) await server.start();

  async function masterPortOf(port: number): Promise<number> {
    const named = await command(port, undefined, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER);
    return Number((named as string[])[1]);
  }
  return {
    url: `redis+sentinel://${sentinelPorts.map((port) => `127.0.0.1:${port}`).join(',')}/${MASTER}`,
    servers: [...redis, ...sentinels],
    async isReady() {
      const [named = 0, ...others] = await Promise.all(sentinelPorts.map(masterPortOf));
      if (others.some((other) => other !== named)) return false;
      return (await command(named, password, 'SET', 'chaos', '1', 'PX', '1000')) === 'OK';
    },
    async failOver() {
      await command(sentinelPorts[0] ?? 0, undefined, 'SENTINEL', 'FAILOVER', MASTER);
    },
    async changePassword(next) {
      for (const port of redisPorts)
        await command(port, password, 'CONFIG', 'SET', 'requirepass', next, 'masterauth', next);
      password = next;
      for (const port of sentinelPorts)
        await command(port, undefined, 'SENTINEL', 'SET', MASTER, 'auth-pass', next);
      for (const port of redisPorts) await command(port, password, 'CLIENT', 'KILL', 'TYPE', 'normal');
    },
  };
}

const CLUSTER_SLOTS = [0, 5_461, 10_923, 16_384];

async function startClusterNodes(first: string, directory: string): Promise<Started> {
  let password = first;
  const ports = await Promise.all([1, 2, 3].map(freePort));
  const settingsOf = (index: number): string[] => {
    const file = join(directory, `node-${index}.conf`);
    const login = ['--masterauth', password];
    return [
      ...login,
      '--cluster-enabled',
      'yes',
      '--cluster-node-timeout',
      '2000',
      '--cluster-config-file',
      file,
    ];
  };
  const servers = ports.map((port, index) =>
    createServer(`node-${index}`, port, () => startRedis(settingsOf(index), port, password)),
  );
  await Promise.all(servers.map((server) => server.start()));
  for (const [index, port] of ports.entries()) {
    const range = [CLUSTER_SLOTS[index] ?? 0, (CLUSTER_SLOTS[index + 1] ?? 0) - 1].map(String);
    await command(port, password, 'CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    await command(port, password, 'CLUSTER', 'ADDSLOTSRANGE', ...range);
    await command(port, password, 'CLUSTER', 'MEET', '127.0.0.1', String(ports[0]));
  }
  return {
    url: `redis+cluster://${ports.map((port) => `127.0.0.1:${port}`).join(',')}`,
    servers,
    async isReady() {
      const states = await Promise.all(ports.map((port) => command(port, password, 'CLUSTER', 'INFO')));
      return states.every((state) => /cluster_state:ok[^]*cluster_known_nodes:3/.test(String(state)));
    },
    failOver: async () => {},
    async changePassword(next) {
      for (const port of ports)
        await command(port, password, 'CONFIG', 'SET', 'requirepass', next, 'masterauth', next);
      password = next;
      for (const port of ports) await command(port, password, 'CLIENT', 'KILL', 'TYPE', 'normal');
    },
  };
}
