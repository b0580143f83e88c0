// The load of registrations, and the checks before and after it.
import type { RunContext, Sample } from '../benchmark.ts';
import { measure } from '../measure.ts';
import { cpuSeconds } from '../../testing/process-usage.ts';
import { exactBody } from './answer-reader.ts';
import { exchange, type Exchange } from './exchange.ts';
import { KeepAliveLoad } from './keep-alive-load.ts';
import { Heartbeats, ListingCheck } from './listing-check.ts';
import { listRequest, RegisterRequest, type RrDevice } from './rr-devices.ts';
import { livePeers, type Server, type Tracker } from './servers.ts';

/**
 * Duration of the same load before the measurement, in milliseconds, in which most code of the server is compiled. A tracker
 * runs for weeks.
 */
const WARM_UP_MS = 2_500;

/** Said in the report. */
export const WARM_UP_TEXT = `Each server gets the same load for ${WARM_UP_MS / 1000} s before it is measured.`;

/**
 * Duration of a measurement at scale 1, in milliseconds: 120 ticks of CPU time and many thousands of operations of a server
 * that is never idle. Where these are fewer than the minimum, the method measures longer.
 */
export const MEASURE_MS = 1_200;

/** What a tracker answers to each registration. */
export const REGISTERED = exactBody(200, Buffer.from('{"ok":true,"ttl_sec":60}'));

/** Registrations of devices in turn, each with a new proof. */
export class Registrations {
  readonly #requests: readonly RegisterRequest[];
  readonly #isNew: boolean;
  #sequence = 0;

  /** @param isNew whether the address of the device is new in each registration as well */
  constructor(devices: readonly RrDevice[], port: number, isNew = false) {
    this.#requests = devices.map((device) => new RegisterRequest(device, port));
    this.#isNew = isNew;
  }

  readonly next = (): Buffer => {
    const sequence = this.#sequence;
    this.#sequence += 1;
    const request = this.#requests[sequence % this.#requests.length] as RegisterRequest;
    // A device that moved has another port than before, and another one than its neighbors.
    return this.#isNew
      ? request.changed(sequence + Math.floor(sequence / this.#requests.length))
      : request.repeated(sequence);
  };
}

/** Registers each device once. @returns the answer to the first registration */
export async function registerAll(
  { port }: Server,
  devices: readonly RrDevice[],
  onEnd: (step: () => unknown) => void,
): Promise<Exchange> {
  const first = devices[0] as RrDevice;
  const answer = await exchange(port, new RegisterRequest(first, port).repeated(0));
  const rest = devices.slice(1);
  let at = 0;
  const load = await KeepAliveLoad.open({
    port,
    check: REGISTERED,
    next: () => {
      const device = rest[at] as RrDevice;
      at += 1;
      return new RegisterRequest(device, port).repeated(at);
    },
  });
  onEnd(() => load.close());
  await load.send(rest.length);
  load.close();
  return answer;
}

/** Runs a load that keeps a server busy, and measures it. */
export async function measureLoad(
  server: Server & { readonly redis?: Server },
  load: KeepAliveLoad,
  { scale, round }: Pick<RunContext, 'scale' | 'round'>,
): Promise<Sample> {
  // The first round only finds the scale.
  if (round > 0) await load.run(WARM_UP_MS * Math.min(1, scale));
  const redisBefore = server.redis === undefined ? 0 : cpuSeconds(server.redis);
  const { usage, result } = await measure({ servers: [server], load: [] }, async () =>
    load.run(MEASURE_MS * scale),
  );
  const redisSeconds = server.redis === undefined ? 0 : cpuSeconds(server.redis) - redisBefore;
  return {
    ...usage,
    operations: result.operations,
    latenciesMs: result.latenciesMs,
    figures: { redisSeconds },
    errors: [],
  };
}

/** @throws Error when the tracker does not have exactly these devices, as they registered */
export async function checkRegistered(
  tracker: Tracker,
  devices: readonly RrDevice[],
  isNew = false,
): Promise<void> {
  await checkLive(tracker, devices.length);
  if (isNew) return;
  const { meta, token } = devices[0] as RrDevice;
  const ofUser = devices.filter((device) => device.meta['user_id'] === meta['user_id']);
  const request = listRequest({ port: tracker.port, userId: String(meta['user_id']), token });
  new ListingCheck(ofUser, new Heartbeats()).check((await exchange(tracker.port, request)).body);
}

/** @throws Error when another number of devices is registered */
export async function checkLive(tracker: Tracker, count: number): Promise<void> {
  const live = await livePeers(tracker);
  if (live !== count) throw new Error(`${live} devices are registered instead of ${count}.`);
}
