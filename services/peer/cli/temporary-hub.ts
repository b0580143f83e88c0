// A hub in a process of its own, with files that its caller removes.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerConfig } from '../config/config.ts';
import { peerIdOf } from '../network/addresses.ts';

/** Maximum characters of its log in an error, the last ones. */
const MAX_LOG_LENGTH = 2_000;

/** Time after SIGTERM after which the hub counts as stuck, in milliseconds. */
const STOP_TIMEOUT_MS = 15_000;

/** Permissions of files with secrets. */
const PRIVATE = { mode: 0o600 };

function hasId(relay: string): boolean {
  return peerIdOf(relay) !== undefined;
}

export interface TemporaryHub {
  /** Rejects when the process ends before it is stopped. */
  readonly failed: Promise<never>;
  /** @throws Error when the exit code is not 0. */
  stop(): Promise<void>;
}

/**
 * Starts this program as a hub of the user of the configuration.
 *
 * @param relays their multiaddrs, with or without peer ids
 */
export async function startTemporaryHub(
  config: PeerConfig,
  relays: readonly string[],
  directory: string,
): Promise<TemporaryHub> {
  const secretPath = join(directory, 'hub.secret');
  writeFileSync(secretPath, randomBytes(32).toString('hex'), PRIVATE);
  const tokenPath = join(directory, 'token');
  if (config.trackerToken !== undefined) writeFileSync(tokenPath, config.trackerToken, PRIVATE);
  const env = {
    HOME: directory,
    LOG_LEVEL: 'info',
    RUSTORY_USER_ID: config.userId,
    RUSTORY_DB_PATH: join(directory, 'hub.db'),
    RUSTORY_HUB_SECRET_PATH: secretPath,
    RUSTORY_SWARM_KEY_PATH: config.swarmKeyPath,
    RUSTORY_TRACKERS: config.trackers.join(','),
    ...(config.trackerToken !== undefined && { RUSTORY_TRACKER_TOKEN_PATH: tokenPath }),
    RUSTORY_TRACKER_TOKEN_OVER_HTTP: String(config.trackerTokenOverHttp),
    RUSTORY_RELAY_ADDR: relays.filter(hasId).join(','),
    RUSTORY_INTERNAL_RELAY_ADDRS: relays.filter((relay) => !hasId(relay)).join(','),
    RUSTORY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RUSTORY_OPS_HOST: '127.0.0.1',
    RUSTORY_OPS_PORT: '0',
    RUSTORY_MIN_FREE_BYTES: '0',
  };
  const [program = ''] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, program, 'hub'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  });
  let log = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => void (log = (log + text).slice(-MAX_LOG_LENGTH)));
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let isStopping = false;
  const failed = Promise.withResolvers<never>();
  // Without a caller that waits, the failure is reported by `stop`.
  failed.promise.catch(() => {});
  const describe = (how: unknown): Error =>
    new Error(`The temporary hub ended with ${String(how)}. The end of its log:\n${log}`);
  ended.then(
    ([code, signal]) => isStopping || failed.reject(describe(code ?? signal)),
    (error: unknown) => failed.reject(error),
  );
  return {
    failed: failed.promise,
    async stop() {
      isStopping = true;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const [code, signal] = await ended.finally(() => clearTimeout(timer));
      if (code !== 0) throw describe(code ?? signal);
    },
  };
}
