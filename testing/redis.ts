// Redis processes for tests, on free loopback ports, in temporary directories, without persistence.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { until } from './wait.ts';

export interface RedisProcess {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Runs one command on a new connection. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
  /** Kills the process like a crash, and removes its files. Can be called more than once. */
  stop(): Promise<void>;
}

/** Maximum characters of the output of a process that errors contain. */
const MAX_OUTPUT_LENGTH = 2_000;

/**
 * Starts `redis-server` and resolves when it responds. With `port` it uses this port, for a restart at the same
 * address.
 */
export async function startRedis(
  args: readonly string[] = [],
  port?: number,
  password?: string,
): Promise<RedisProcess> {
  const settings = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'];
  return startProcess('redis-server', port ?? (await freePort()), [...settings, ...args], password);
}

export async function startProcess(
  program: string,
  port: number,
  args: readonly string[],
  password?: string,
  /** Whether `args` already set the password. */
  hasPassword = false,
): Promise<RedisProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'rustory-redis-'));
  const common = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  const login = password === undefined || hasPassword ? [] : ['--requirepass', password];
  const child = spawn(program, [...args, ...common, ...login], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output = `${output}${data}`.slice(-MAX_OUTPUT_LENGTH)));
  child.stderr.on('data', (data) => (output = `${output}${data}`.slice(-MAX_OUTPUT_LENGTH)));
  let spawnError: Error | undefined;
  child.once('error', (error) => (spawnError = error));
  const isRunning = (): boolean =>
    spawnError === undefined && child.exitCode === null && child.signalCode === null;
  const command = createCommand(port, password);
  const isResponsive = async (): Promise<boolean> => (await command('PING').catch(() => '')) === 'PONG';
  await until(async () => !isRunning() || (await isResponsive()), `${program} responds`);
  if (!isRunning())
    throw new Error(
      `${program} did not start; install it with "apt-get install redis-server redis-sentinel redis-tools" ` +
        `or "brew install redis": ${spawnError?.message ?? output}`,
    );
  return {
    port,
    url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`,
    process: child,
    command,
    async stop() {
      if (isRunning()) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function createCommand(port: number, password: string | undefined): RedisProcess['command'] {
  return async (name, ...args) => {
    const options = { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false };
    const client = new Redis({ port, ...options, ...(password === undefined ? {} : { password }) });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  };
}

/** The bus port of a Cluster node is its port plus this number. */
const BUS_OFFSET = 10_000;

/**
 * Finds a port that is currently free, with a free port for the Cluster bus. Both are below the range of the ports of
 * outgoing connections (32768 and above).
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = 11_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
  throw new Error('There is no free port between 11000 and 20999.');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const isListening = await Promise.race([
    once(server, 'listening').then(() => true),
    once(server, 'error').then(() => false),
  ]).catch(() => false);
  server.close();
  return isListening;
}
