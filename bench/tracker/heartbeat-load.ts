// The registrations of devices while something else is measured: each device registers every 30 seconds, over a new
// connection, as `rr` 1.x does.
import { REGISTERED } from './register-load.ts';
import type { Heartbeats } from './listing-check.ts';
import { requestAsRr } from './rr-client.ts';
import { RegisterRequest, type RrDevice } from './rr-devices.ts';

/** Interval between two registrations of a device, in milliseconds. */
export const HEARTBEAT_MS = 30_000;

export interface HeartbeatLoad {
  /** Waits for the answers that are missing. */
  stop(): Promise<void>;
}

/**
 * Starts registrations that are evenly spread over the interval. A device registers again only after its last answer.
 *
 * @param onError called when a registration is refused or answered wrongly
 */
export function startHeartbeats(
  port: number,
  devices: readonly RrDevice[],
  heartbeats: Heartbeats,
  onError: (error: unknown) => void,
): HeartbeatLoad {
  const requests = devices.map((device) => new RegisterRequest(device, port));
  const running = new Set<Promise<void>>();
  const startedMs = performance.now();
  const spacingMs = HEARTBEAT_MS / devices.length;
  let count = 0;

  async function register(index: number): Promise<void> {
    const device = devices[index % devices.length] as RrDevice;
    const bytes = requests[index % devices.length]?.repeated(index + 1) as Buffer;
    const number = heartbeats.send(device.peerId);
    const { failure } = await requestAsRr(port, bytes, REGISTERED);
    if (failure !== undefined) throw new Error(`A registration failed three times: ${failure}`);
    heartbeats.acknowledge(number);
  }

  const timer = setInterval(
    () => {
      for (; count < (performance.now() - startedMs) / spacingMs; count += 1) {
        const each = register(count)
          .catch(onError)
          .finally(() => running.delete(each));
        running.add(each);
      }
    },
    Math.min(spacingMs / 2, MAX_TICK_MS),
  );
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

/** Maximum delay of a registration, in milliseconds. */
const MAX_TICK_MS = 10;
