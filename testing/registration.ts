// Registrations with test trackers, whose pauses and clock the test controls.
import { createRegistrations, type Registrations } from '../services/peer/discovery/registrations.ts';
import { aborted } from '../services/shared/signals.ts';
import { onCleanup } from './cleanup.ts';
import { createTestLog } from './peer.ts';
import type { TestTracker } from './test-tracker.ts';
import { until } from './wait.ts';

/** The peer id of the device that registers. */
export const OWN_PEER_ID = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
export const META = { user_id: 'ada', device_id: 'laptop', hostname: 'laptop.lan', version: '1.0.0' };
export const CIRCUIT = '/ip4/10.0.0.9/tcp/4001/p2p/R/p2p-circuit/p2p/me';

export interface Pause {
  readonly milliseconds: number;
  /** Ends the pause. */
  readonly end: () => void;
}

/** Registrations with these trackers. A pause lasts until the test ends it; the clock moves by its length. */
export function createTestRegistrations(
  trackers: readonly TestTracker[],
  { yields = false, random = 0, requiresAddress = false } = {},
) {
  const state = { addresses: [] as string[], ms: 0 };
  const { log, lines } = createTestLog();
  const pauses: Pause[] = [];
  const registrations = createRegistrations({
    trackers: trackers.map(({ client }) => client),
    peerId: OWN_PEER_ID,
    meta: META,
    addresses: () => state.addresses,
    yields,
    requiresAddress,
    log,
    nowMs: () => state.ms,
    random: () => random,
    sleep: async (milliseconds, signal) => {
      const ended = Promise.withResolvers<void>();
      const end = (): void => {
        state.ms += milliseconds;
        for (const tracker of trackers) tracker.clockSkewSeconds += milliseconds / 1000;
        ended.resolve();
      };
      pauses.push({ milliseconds, end });
      return Promise.race([ended.promise, aborted(signal)]);
    },
  });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) await registrations.stop();
    isStopped = true;
  };
  onCleanup(stop);
  const change = (...addresses: string[]): void => {
    state.addresses = addresses;
    registrations.changed();
  };
  const pauseAfter = async (count: number): Promise<Pause> => {
    await until(() => pauses.length >= count, `pause ${count} has begun`);
    return pauses[count - 1] as Pause;
  };
  return { registrations, change, stop, lines, pauses, pauseAfter, state };
}

/** Asks the tracker for its list, as a round does, and registers. */
export async function ensure(registrations: Registrations, tracker: TestTracker): Promise<readonly string[]> {
  return registrations.ensure(new Map([[tracker.url, await tracker.client.list('ada')]]));
}

/** The requests except listings. */
export const registered = ({ requests }: TestTracker): string[] =>
  requests.filter((request) => request !== 'list');
