// Devices that reserve again after the relay was killed, as rr 1.x does: 5, 10, 20, 40, 60, 60 ... s after each loss or
// refusal, without jitter. `done` follows when all of them have reserved twice.
import { Device, parseRelay, ping, type RelayTarget, reserve } from '../../endpoints/device.ts';
import { readKey } from '../../endpoints/psk.ts';
import { type LoadResult, type Prepare, repeat } from '../load-result.ts';

const DELAYS_SECONDS = [5, 10, 20, 40, 60] as const;

/** Devices that reserve at the same time before the relay is killed. */
const CONCURRENCY = 16;

interface State {
  /** When the first device tried again. */
  firstAttemptMs: number;
  attempts: number;
  readonly backMs: number[];
}

/** Resolves when the connection has ended. */
async function connectAndReserve(
  device: Device,
  relay: RelayTarget,
): Promise<{ readonly lost: Promise<void> }> {
  const session = await device.connect(relay);
  const lost = new Promise<void>((resolve) => {
    session.onEnded = () => resolve();
  });
  try {
    await ping(session);
    await reserve(session);
  } catch (error) {
    session.destroy();
    throw error;
  }
  return { lost };
}

async function comeBack(device: Device, relay: RelayTarget, state: State): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const seconds = DELAYS_SECONDS[Math.min(attempt, DELAYS_SECONDS.length - 1)] ?? 60;
    await new Promise((resolve) => {
      setTimeout(resolve, seconds * 1000);
    });
    state.attempts += 1;
    state.firstAttemptMs ||= performance.now();
    try {
      await connectAndReserve(device, relay);
      state.backMs.push(performance.now() - state.firstAttemptMs);
      return;
    } catch {
      // It tries again after the next delay; the number of attempts is in the result.
    }
  }
}

export const prepareReconnect: Prepare = async (options) => {
  const key = readKey(options.keyFile);
  const relay = parseRelay(options.relay);
  const devices = Array.from({ length: options.devices }, () => new Device(key, options.muxer));
  const lost: Array<Promise<void>> = [];
  const { errors } = await repeat(devices.length, CONCURRENCY, async (index) => {
    const connection = await connectAndReserve(devices[index] as Device, relay);
    lost.push(connection.lost);
  });
  if (errors.length > 0) throw new Error(`A device could not reserve: ${errors[0]}`);
  const state: State = { firstAttemptMs: 0, attempts: 0, backMs: [] };
  const back = devices.map(async (device, index) => {
    await lost[index];
    await comeBack(device, relay, state);
  });
  return async (): Promise<LoadResult> => {
    await Promise.all(back);
    return {
      operations: devices.length,
      bytes: 0,
      latenciesMs: state.backMs,
      errors: [],
      figures: { attempts: state.attempts },
    };
  };
};
