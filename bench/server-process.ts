// Starts our servers as their images do: the bundle, the Node.js options of the Dockerfile, and the defaults of every check,
// metric and log level.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import { type Running, startProgram } from '../scripts/processes.ts';
import type { RunContext } from './benchmark.ts';
import { type Build, bundleOf } from './builds.ts';

export interface RelayServer {
  readonly pid: number;
  /** A multiaddr with host, port and peer id. */
  readonly address: string;
  /** `host:port` of metrics; absent for programs that have none. */
  readonly ops?: string;
  /** Kills it and waits for its end. */
  kill(): Promise<void>;
}

export interface TrackerServer {
  readonly pid: number;
  readonly url: string;
  readonly ops: string;
  readonly running: Running;
}

/** The swarm key of a run. All its programs read this file. */
export function swarmKeyFile(folder: string): string {
  const path = join(folder, 'swarm.key');
  if (!existsSync(path)) createSwarmKeyFile(path);
  return path;
}

/** Starts a bundle, and kills it after the run: a drain would only cost time. */
export async function startBundle(
  build: Build,
  service: 'relay' | 'tracker' | 'peer',
  context: Pick<RunContext, 'onEnd'>,
  {
    args = [],
    env = {},
  }: { readonly args?: readonly string[]; readonly env?: Readonly<Record<string, string>> },
): Promise<Running> {
  const { path, nodeOptions } = await bundleOf(build, service);
  const running = startProgram(service, path, {
    args, // The image has no cache of compiled modules, with which less memory is used after the start.
    env: { NODE_OPTIONS: nodeOptions, NODE_DISABLE_COMPILE_CACHE: '1', ...env },
  });
  context.onEnd(async () => end(running));
  return running;
}

async function end(running: Running): Promise<void> {
  running.kill('SIGKILL');
  await running.exited;
}

/**
 * Starts a relay on loopback, by default on a free port. The identity is in the folder of the run, so that a second relay
 * of the same run has the same peer id.
 */
export async function startRelayBundle(
  build: Build,
  context: Pick<RunContext, 'onEnd' | 'folder'>,
  { port = 0, env = {} }: { readonly port?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<RelayServer> {
  const running = await startBundle(build, 'relay', context, {
    env: {
      RELAY_LISTEN: `/ip4/127.0.0.1/tcp/${port}`,
      RELAY_LOCAL: 'true',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
      RELAY_SWARM_KEY_FILE: swarmKeyFile(context.folder),
      RELAY_IDENTITY_KEY_FILE: join(context.folder, 'relay.key'),
      ...env,
    },
  });
  const [{ addresses }, { address: ops }] = await Promise.all([
    running.waitFor('listening'),
    running.waitFor('ops listening'),
  ]);
  const address = String((addresses as string[])[0]);
  return { pid: running.pid, address, ops: String(ops), kill: async () => end(running) };
}

/** Starts a tracker with the memory registry on a free port. */
export async function startTrackerBundle(
  build: Build,
  context: Pick<RunContext, 'onEnd'>,
  env: Readonly<Record<string, string>> = {},
): Promise<TrackerServer> {
  const running = await startBundle(build, 'tracker', context, {
    env: { TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0', ...env },
  });
  const [{ address }, { address: ops }] = await Promise.all([
    running.waitFor('listening'),
    running.waitFor('ops listening'),
  ]);
  return { pid: running.pid, url: `http://${String(address)}`, ops: String(ops), running };
}
