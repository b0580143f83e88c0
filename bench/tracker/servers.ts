// The servers that the tracker is measured against, and the tracker itself, each as a fresh process on a free port.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCommand, startProgram } from '../../scripts/processes.ts';
import { type RedisProcess, freePort, startRedis } from '../../testing/redis.ts';
import { until } from '../../testing/wait.ts';
import type { RunContext } from '../benchmark.ts';
import { type Build, bundleOf } from '../builds.ts';
import { startTrackerBundle } from '../server-process.ts';
import type { BareAnswer, BareAnswers } from './bare-server.ts';
import { exchange, type Exchange } from './exchange.ts';
import { TOKENS_FILE } from './rr-devices.ts';

export type Context = Pick<RunContext, 'onEnd' | 'folder'>;

export type RegistryKind = 'memory' | 'redis';

export interface Server {
  readonly pid: number;
  readonly port: number;
}

export interface Tracker extends Server {
  /** `host:port` of the metrics. */
  readonly ops: string;
  /** The Redis of its registry. */
  readonly redis?: Server;
}

/** Starts a tracker as it is shipped, with tokens. A limit in `env` is one that the benchmark lists as raised. */
export async function startTracker(
  build: Build,
  registry: RegistryKind,
  context: Context,
  env: Readonly<Record<string, string>> = {},
): Promise<Tracker> {
  const tokens = join(context.folder, 'tokens');
  writeFileSync(tokens, TOKENS_FILE);
  const redis = registry === 'redis' ? await startRedisFor(context) : undefined;
  const { pid, url, ops } = await startTrackerBundle(build, context, {
    TRACKER_TOKENS_FILE: tokens,
    ...(redis === undefined ? {} : { TRACKER_REDIS_URL: redis.url }),
    ...env,
  });
  const tracker = { pid, ops, port: Number(new URL(url).port) };
  if (redis === undefined) return tracker;
  await until(async () => (await fetch(`http://${ops}/readyz`)).ok, 'the tracker is ready');
  return { ...tracker, redis: { pid: redis.process.pid ?? -1, port: redis.port } };
}

/** Redis as in the chart, without persistence. */
async function startRedisFor({ onEnd }: Context): Promise<RedisProcess> {
  const redis = await startRedis(['--maxmemory', '256mb', '--maxmemory-policy', 'noeviction']);
  onEnd(redis.stop);
  return redis;
}

/** The number of registered devices, by the metrics of the tracker. */
export async function livePeers({ ops }: Tracker): Promise<number> {
  const metrics = await (await fetch(`http://${ops}/metrics`)).text();
  return Number(/^rustory_tracker_live_peers (\S+)$/m.exec(metrics)?.[1]);
}

/** Headers that `node:http` adds itself. */
const OWN_HEADERS = new Set(['date', 'connection', 'keep-alive']);

/** The answer of the tracker for the bare server. */
export function bareAnswer({ status, headers, body }: Exchange): BareAnswer {
  return {
    status,
    headers: Object.fromEntries(headers.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()))),
    body: body.toString('base64'),
  };
}

/** Starts the bare server, with the Node.js options of the tracker. */
export async function startBare(answers: BareAnswers, { onEnd, folder }: Context): Promise<Server> {
  const path = join(folder, 'answers.json');
  writeFileSync(path, JSON.stringify(answers));
  const { nodeOptions } = await bundleOf('ours', 'tracker');
  const running = startProgram('bare server', join(import.meta.dirname, 'bare-server.ts'), {
    args: [path],
    env: { NODE_OPTIONS: nodeOptions },
  });
  onEnd(async () => {
    running.kill('SIGKILL');
    await running.exited;
  });
  const { port } = await running.waitFor('listening');
  return { pid: running.pid, port: Number(port) };
}

/** An answer without its time and without the order of its headers. */
function text({ status, headers, body }: Exchange): string {
  const lines = headers.map(([name, value]) => {
    const lower = name.toLowerCase();
    return `${lower}: ${lower === 'date' ? '' : value}`;
  });
  return [status, ...lines.toSorted(), body.toString('latin1')].join('\n');
}

/** @throws Error when the server does not send the same headers and bytes, except the time of the answer */
export async function checkSameAnswer({ port }: Server, request: Buffer, expected: Exchange): Promise<void> {
  const got = await exchange(port, request);
  if (text(got) !== text(expected))
    throw new Error(
      `The bare server sends another answer than the tracker: ${text(got)} instead of ${text(expected)}`,
    );
}

const DISCOSRV = 'stdiscosrv';

/** Why Syncthing's discovery server cannot be measured; `undefined` when it can. */
export async function discosrvUnavailable(): Promise<string | undefined> {
  return discosrvVersion() === undefined
    ? 'Syncthing\'s discovery server is not installed; run "apt-get install syncthing-discosrv".'
    : undefined;
}

/** The first line that it prints about itself. */
export function discosrvVersion(): string | undefined {
  try {
    return execFileSync(DISCOSRV, ['-version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

/** Starts Syncthing's discovery server behind an imaginary proxy that ends TLS, the mode with the least work for it. */
export async function startDiscosrv({ onEnd, folder }: Context): Promise<Server> {
  const port = await freePort();
  const replication = await freePort();
  const running = startCommand('stdiscosrv', [DISCOSRV, '-http'], {
    args: ['-listen', `127.0.0.1:${port}`, '-replication-listen', `127.0.0.1:${replication}`],
    cwd: folder,
  });
  onEnd(async () => {
    running.kill('SIGKILL');
    await running.exited;
  });
  const isUp = async (): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${port}/ping`).catch(() => undefined))?.status === 204;
  await until(isUp, 'stdiscosrv answers');
  return { pid: running.pid, port };
}
