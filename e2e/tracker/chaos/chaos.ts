// Does random things to Redis in a random order, and measures how long a tracker needs to be ready after Redis is.
import { readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createRandom } from '../../../testing/random.ts';
import { peerIds } from '../../../testing/peer-ids.ts';
import { startTracker, type TrackerProcess } from '../../../testing/tracker-process.ts';
import { until } from '../../../testing/wait.ts';
import { type Kind, type Server, startTopology, type Topology } from './servers.ts';

export interface ChaosOptions {
  readonly kind: Kind;
  readonly seed: number;
  readonly rounds: number;
  /** No round starts after this time. */
  readonly endsAtMs?: number;
  /** Maximum duration of one fault, in seconds. */
  readonly maxSeconds: number;
  /** When given, each round freezes all servers for this time, in milliseconds, instead of random faults. */
  readonly stallMs?: number;
  readonly print: (line: string) => void;
}

export interface ChaosReport {
  readonly rounds: number;
  /** The longest time in milliseconds from a ready Redis to a ready tracker. */
  readonly slowestMs: number;
  /** Open sockets of the tracker at the start and at the end. */
  readonly socketsBefore: number;
  readonly socketsAfter: number;
}

const [PEER_ID] = peerIds(1);

/** Maximum time in milliseconds from a ready Redis to a ready tracker. */
export const READY_MS = 15_000;

/** Maximum time until Redis is ready after everything runs again, in milliseconds: elections take some seconds. */
const RECOVERY_MS = 180_000;

/** Maximum faults of one round, which overlap. */
const MAX_FAULTS = 3;

/** @throws Error when the tracker is not ready in time, or keeps sockets */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { kind, seed, rounds, endsAtMs = Infinity, print } = options;
  const random = createRandom(seed);
  const passwordFile = join(tmpdir(), `rustory-chaos-${process.pid}-${kind}-${seed}`);
  writeFileSync(passwordFile, 'password-0', { mode: 0o600 });
  const topology = await startTopology(kind, 'password-0');
  const isReady = (): Promise<boolean> => topology.isReady().catch(() => false);
  let tracker: TrackerProcess | undefined;
  try {
    await until(isReady, 'Redis is ready', RECOVERY_MS);
    tracker = await startTracker({
      TRACKER_REDIS_URL: topology.url,
      TRACKER_REDIS_PASSWORD_FILE: passwordFile,
      LOG_LEVEL: 'info',
    });
    await waitUntilReady(tracker);
    const socketsBefore = countSockets(tracker);
    let slowestMs = 0;
    let done = 0;
    for (; done < rounds && Date.now() < endsAtMs; done += 1) {
      await runRound({ topology, random, options, round: done, passwordFile });
      await until(isReady, 'Redis is ready', RECOVERY_MS);
      const tookMs = await waitUntilReady(tracker);
      slowestMs = Math.max(slowestMs, tookMs);
      print(`${kind} round ${done}: ready after ${Math.round(tookMs)} ms, ${countSockets(tracker)} sockets`);
    }
    const { opsUrl } = tracker;
    const used = tracker;
    // The connections of the last question to the Sentinels are still closing.
    await until(() => countSockets(used) <= socketsBefore + 4, `the sockets are closed (${opsUrl})`);
    return { rounds: done, slowestMs, socketsBefore, socketsAfter: countSockets(tracker) };
  } catch (error) {
    print(`the tracker wrote:\n${tracker?.output() ?? ''}`);
    throw error;
  } finally {
    await tracker?.end('SIGKILL');
    await topology.stop();
    rmSync(passwordFile, { force: true });
  }
}

/** Waits until the tracker is ready and registers a device, and returns the duration in milliseconds. */
async function waitUntilReady(tracker: TrackerProcess): Promise<number> {
  const beganMs = performance.now();
  const body = JSON.stringify({ peer_id: PEER_ID, addrs: [], meta: { user_id: 'alice' } });
  const works = async (): Promise<boolean> => {
    const ready = await fetch(`${tracker.opsUrl}/readyz`).then((response) => response.ok);
    if (!ready) return false;
    const headers = { 'content-type': 'application/json' };
    const registered = await fetch(`${tracker.url}/api/v1/peers/register`, { method: 'POST', body, headers });
    return registered.ok;
  };
  await until(() => works().catch(() => false), 'the tracker is ready', READY_MS);
  return performance.now() - beganMs;
}

interface Round {
  readonly topology: Topology;
  readonly random: () => number;
  readonly options: ChaosOptions;
  readonly round: number;
  readonly passwordFile: string;
}

/** Several faults that overlap. At the end everything runs. */
async function runRound({ topology, random, options, round, passwordFile }: Round): Promise<void> {
  const { kind, maxSeconds, stallMs, print } = options;
  if (stallMs !== undefined) {
    for (const server of topology.servers) server.freeze();
    await pause(stallMs);
    for (const server of topology.servers) server.thaw();
    return;
  }
  const targets = (): Server[] => {
    const chosen = topology.servers.filter(() => random() < 0.5);
    return chosen.length > 0 ? chosen : [...topology.servers];
  };
  const faults = Array.from({ length: 1 + Math.floor(random() * MAX_FAULTS) }, () => ({
    fault: ['freeze', 'freeze', 'kill', 'failOver', 'password'][Math.floor(random() * 5)] ?? 'freeze',
    delayMs: random() * 2_000,
    durationMs: 1_000 + random() * (maxSeconds - 1) * 1_000,
    servers: targets(),
  }));
  await Promise.all(
    faults.map(async ({ fault, delayMs, durationMs, servers }, index) => {
      await pause(delayMs);
      const names = servers.map(({ name }) => name).join(', ');
      print(`${kind} round ${round}: ${fault} ${names} for ${Math.round(durationMs)} ms`);
      if (fault === 'freeze') {
        for (const server of servers) server.freeze();
        await pause(durationMs);
        for (const server of servers) server.thaw();
      } else if (fault === 'kill') {
        await Promise.all(servers.map((server) => server.kill()));
        await pause(durationMs);
      } else if (fault === 'failOver') await topology.failOver().catch(() => {});
      else if (index === 0 && faults.length === 1) {
        const password = `password-${round + 1}`;
        await topology.changePassword(password);
        await pause(durationMs);
        writeFileSync(passwordFile, password);
      }
    }),
  );
  await Promise.all(
    topology.servers.map(async (server) => {
      server.thaw();
      await server.start();
    }),
  );
}

function countSockets({ pid }: TrackerProcess): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(join(folder, name)).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
