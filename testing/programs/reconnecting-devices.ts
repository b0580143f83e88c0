// `reconnecting-devices.ts KEY_FILE ADDRESS DEVICES`: devices that hold a reservation on a relay, and reserve again after
// a loss or a refusal as `rr` does. Logs its state ten times per second.
import type { Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { reserve, startDevice } from '../load-devices.ts';

/** Pauses of `rr` after a loss or a refusal, in seconds; the last one repeats. It adds no jitter. */
const PAUSES_SECONDS = [5, 10, 20, 40, 60];

/** Much longer than the relay may need; `rr p2p-serve` has no deadline for a handshake. */
const PATIENT_MS = 600_000;

/** Devices that reserve at the same time at the start, which is not what is measured. */
const CONCURRENCY = 16;

const REPORT_INTERVAL_MS = 100;

export interface ReconnectingDevices {
  readonly reserved: number;
  /** Attempts since the first loss. */
  readonly attempts: number;
  /** Unix time of the first and of the last first attempt after the loss, in milliseconds. */
  readonly firstAttemptMs: number;
  readonly lastAttemptMs: number;
  /** Unix time in milliseconds at which each device had its reservation again. */
  readonly backMs: readonly number[];
}

const [swarmKeyFile = '', address = '', count = ''] = process.argv.slice(2);
const devices = Number(count);
const key = readSwarmKey(swarmKeyFile);
const state = {
  reserved: 0,
  attempts: 0,
  firstAttemptMs: Number.MAX_SAFE_INTEGER,
  lastAttemptMs: 0,
  backMs: [] as number[],
};

/** Resolves when the device has lost its connection. */
async function lost(device: Libp2p): Promise<void> {
  const [connection] = device.getConnections();
  if (connection === undefined || connection.status !== 'open') return;
  await new Promise<void>((resolve) => {
    connection.addEventListener('close', () => resolve(), { once: true });
  });
}

async function pause(seconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
  });
}

async function attempt(device: Libp2p): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PATIENT_MS);
    return (await reserve(device, { address: multiaddr(address) }, signal)) === 'OK';
  } catch {
    return false;
  }
}

async function reserveAgain(device: Libp2p): Promise<void> {
  for (let failures = 0; ; failures += 1) {
    await pause(PAUSES_SECONDS[Math.min(failures, PAUSES_SECONDS.length - 1)] ?? 0);
    state.attempts += 1;
    if (failures === 0) {
      state.firstAttemptMs = Math.min(state.firstAttemptMs, Date.now());
      state.lastAttemptMs = Date.now();
    }
    if (await attempt(device)) return;
    await Promise.all(device.getConnections().map(async (connection) => connection.close().catch(() => {})));
  }
}

async function hold(device: Libp2p): Promise<void> {
  for (;;) {
    await lost(device);
    state.reserved -= 1;
    await reserveAgain(device);
    state.reserved += 1;
    state.backMs.push(Date.now());
  }
}

let started = 0;
async function startSome(): Promise<void> {
  while (started < devices) {
    started += 1;
    const device = await startDevice(key, undefined, { handshakeMs: PATIENT_MS });
    if (!(await attempt(device))) throw new Error('A device got no reservation at the start.');
    state.reserved += 1;
    void hold(device);
  }
}

setInterval(
  () => process.stdout.write(`${JSON.stringify({ msg: 'state', ...state })}\n`),
  REPORT_INTERVAL_MS,
);
await Promise.all(Array.from({ length: CONCURRENCY }, startSome));
