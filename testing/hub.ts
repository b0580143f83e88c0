// A hub as a process, with its files in the directory of a network.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hubEnvironment } from '../scripts/local-network.ts';
import { type Running, startService } from '../scripts/processes.ts';
import { readSwarmKey } from '../services/private-network/key.ts';
import { onCleanup } from './cleanup.ts';
import { freePort } from './free-port.ts';
import type { TestNetwork } from './network.ts';
import { type PushClient, type PushClientOptions, startPushClient } from './push-client.ts';
import type { SmallDisk } from './small-disk.ts';
import { until } from './wait.ts';

export interface HubOptions {
  /** Variables in addition to those of `startHub`. */
  readonly env?: Record<string, string>;
  /** The disk of its database. Default: the directory of the network. */
  readonly disk?: SmallDisk;
}

export interface TestHub {
  readonly peerId: string;
  /** Its address on loopback, which stays the same. */
  readonly address: string;
  /** Its address through the relay of the network. */
  readonly circuit: string;
  readonly databasePath: string;
  readonly env: Readonly<Record<string, string>>;
  /** The process that runs now, or that ran last. */
  readonly running: Running;
  /** Ends the process with SIGKILL. */
  kill(): Promise<void>;
  /** Ends the process with SIGTERM. Returns its exit code. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Starts the process again, and resolves when it listens. */
  start(): Promise<void>;
  /** Resolves when the process listens, also after `kill`. */
  listening(): Promise<void>;
  /** Resolves when the hub is registered with a circuit. */
  registered(): Promise<void>;
  /** The metrics as text. */
  metrics(): Promise<string>;
  /** The sum of all series of a metric whose labels contain this text. */
  metric(name: string, labels?: string): Promise<number>;
  /** Status and body of `/readyz`. */
  readiness(): Promise<{ readonly status: number; readonly body: string }>;
}

/** What a database holds, read in another process than its own. */
export interface StoredHistory {
  readonly integrity: string;
  /** The number of each entry, by its id. */
  readonly entries: ReadonlyMap<string, number>;
  /** The number of each deletion, by the id of its entry. */
  readonly deletions: ReadonlyMap<string, number>;
}

/** Starts a hub of the user `ada`. It is stopped after the test. */
export async function startHub(network: TestNetwork, options: HubOptions = {}): Promise<TestHub> {
  const { env, databasePath, port } = await prepare(network, options);
  const { disk } = options;
  const start = async (): Promise<Running> => {
    const started = startService('peer', { args: ['hub'], env, ...(disk && { under: disk.under }) });
    onCleanup(async () => started.stop());
    await started.waitFor('started');
    return started;
  };
  let running = await start();
  let listening = Promise.withResolvers<void>();
  listening.resolve();
  const peerId = String(running.logged('node started')[0]?.['peerId']);
  const ops = async (path: string): Promise<Response> => {
    const { address } = await running.waitFor('ops listening');
    return fetch(`http://${String(address)}${path}`);
  };
  const hub: TestHub = {
    peerId,
    address: `/ip4/127.0.0.1/tcp/${port}/p2p/${peerId}`,
    circuit: `${network.relay.address}/p2p-circuit/p2p/${peerId}`,
    databasePath,
    env,
    get running() {
      return running;
    },
    async kill() {
      listening = Promise.withResolvers();
      running.kill('SIGKILL');
      await running.exited;
    },
    stop: async () => running.stop(),
    async start() {
      running = await start();
      listening.resolve();
    },
    listening: async () => listening.promise,
    async registered() {
      await running.waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
    },
    metrics: async () => (await ops('/metrics')).text(),
    async metric(name, labels = '') {
      return sumOf(await hub.metrics(), name, labels);
    },
    async readiness() {
      const response = await ops('/readyz');
      return { status: response.status, body: await response.text() };
    },
  };
  return hub;
}

async function prepare({ directory, relay, tracker }: TestNetwork, { env = {}, disk }: HubOptions) {
  const databasePath = join(disk?.folder ?? directory, 'hub.db');
  // A hub that is started again has the same address.
  const port = await freePort();
  return {
    databasePath,
    port,
    env: {
      ...hubEnvironment(directory, { relay, tracker }),
      RUSTORY_USER_ID: 'ada',
      RUSTORY_DB_PATH: databasePath,
      RUSTORY_LISTEN: `/ip4/127.0.0.1/tcp/${port}`,
      RUSTORY_MIN_FREE_BYTES: '0',
      ...env,
    },
  };
}

/** A device of the user `ada` that is registered and dials; written without the code of the peer. */
export async function startMember(
  network: TestNetwork,
  deviceId: string,
  options: Partial<PushClientOptions> = {},
): Promise<PushClient> {
  const swarmKey = readSwarmKey(join(network.directory, 'swarm.key'));
  const client = await startPushClient({ swarmKey, ...options });
  await client.register(network.tracker.url, { user_id: 'ada', device_id: deviceId });
  return client;
}

/** Reads a database that no process uses, or that the hub uses. */
export function readHistory(databasePath: string): StoredHistory {
  const database = new DatabaseSync(databasePath, { timeout: 5_000 });
  const numbers = (sql: string): Map<string, number> =>
    new Map(
      database
        .prepare(sql)
        .all()
        .map(({ id, seq }) => [String(id), Number(seq)]),
    );
  try {
    return {
      integrity: String(Object.values(database.prepare('PRAGMA integrity_check').get() ?? {})[0]),
      entries: numbers('SELECT entry_id AS id, ingest_seq AS seq FROM entries'),
      deletions: numbers('SELECT entry_id AS id, delete_seq AS seq FROM entry_deletions'),
    };
  } finally {
    database.close();
  }
}

/** Connects when the hub listens again. */
export async function connectAgain(client: PushClient, hub: TestHub) {
  let connection: Awaited<ReturnType<PushClient['connect']>> | undefined;
  await until(async () => {
    await hub.listening();
    connection = await client.connect(hub.address).catch(() => undefined);
    return connection !== undefined;
  }, 'the hub accepts connections');
  if (connection === undefined) throw new Error('The hub accepts no connection.');
  return connection;
}

function sumOf(text: string, name: string, labels: string): number {
  const series = text
    .split('\n')
    .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels));
  return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
