// Real Redis processes for tests, on free loopback ports, in temporary directories, without persistence.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { until } from './wait.ts';

/** A running Redis process; `stop` may be called more than once. */
export interface RedisProcess {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Runs one command on a connection of its own. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
  /** Ends it at once, as a crash does, and removes its files. */
  stop(): Promise<void>;
}

/** Starts `redis-server` and resolves when it answers. A fixed port starts it again where it was. */
export async function startRedis(
  args: readonly string[] = [],
  port?: number,
  password?: string,
): Promise<RedisProcess> {
  const chosen = port ?? (await freePort());
  const settings = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'];
  return startProcess('redis-server', chosen, [...settings, ...args], password);
}

export async function startProcess(
  program: string,
  port: number,
  args: readonly string[],
  password?: string,
): Promise<RedisProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'rustory-redis-'));
  const common = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  const login = password === undefined ? [] : ['--requirepass', password];
  const child = spawn(program, [...args, ...common, ...login], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output = `${output}${data}`.slice(-2_000)));
  child.stderr.on('data', (data) => (output = `${output}${data}`.slice(-2_000)));
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  const running = (): boolean => failed === undefined && child.exitCode === null && child.signalCode === null;

  async function command(name: string, ...commandArgs: (string | number)[]): Promise<unknown> {
    const options = { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false };
    const client = new Redis({ port, ...options, ...(password === undefined ? {} : { password }) });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(name, ...commandArgs);
    } finally {
      client.disconnect();
    }
  }
  const answers = async (): Promise<boolean> => (await command('PING').catch(() => '')) === 'PONG';
  await until(async () => !running() || (await answers()), `${program} answers`);
  if (!running())
    throw new Error(
      `${program} did not start; install it with «apt-get install redis-server redis-sentinel redis-tools» ` +
        `or «brew install redis»: ${failed?.message ?? output}`,
    );
  return {
    port,
    url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`,
    process: child,
    command,
    async stop() {
      if (running()) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What a Cluster node listens on besides its port is this much higher. */
const BUS_OFFSET = 10_000;

/**
 * A port that nobody listens on at this moment, with the port of its Cluster bus. Both are below those that systems
 * give to outgoing connections (from 32768), which would be taken now and then.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = 11_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
  throw new Error('no free port between 11000 and 20999');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const free = await Promise.race([
    once(server, 'listening').then(() => true),
    once(server, 'error').then(() => false),
  ]).catch(() => false);
  server.close();
  return free;
}
