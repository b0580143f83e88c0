// What the hub learns about devices from their pushes and pulls, and from its own pulls: when it heard of each, and how old
// the newest entry of each was when it arrived.
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { isSameDevice } from '../discovery/identity-watch.ts';
import type { PeerBook } from '../discovery/peer-book.ts';
import type { PullEvent } from '../sync/pull-outcomes.ts';
import type { PushEvent } from '../sync/push-outcomes.ts';
import type { HeardDevices } from './devices.ts';
import type { HubMetrics } from './metrics.ts';

export interface Activity {
  readonly onPush: (event: PushEvent) => void;
  readonly onPull: (event: PullEvent) => void;
  /** The hub pulled from a peer. `isNew`: entries arrived that it had not. */
  readonly onHeard: (peerId: string, isNew: boolean) => void;
}

export interface ActivityDeps {
  readonly metrics: Pick<HubMetrics, 'push' | 'pull' | 'lag'>;
  readonly devices: HeardDevices;
  readonly peerBook: Pick<PeerBook, 'find'>;
  /** Of the hub. */
  readonly deviceId: string;
  readonly log: Logger;
}

export function createActivity({ metrics, devices, peerBook, deviceId, log }: ActivityDeps): Activity {
  function heard(device: string | undefined, isNew: boolean): void {
    if (device === undefined || isSameDevice(device, deviceId)) return;
    devices.heard(device);
    const lagSeconds = isNew ? devices.lagSeconds(device) : undefined;
    if (lagSeconds !== undefined) metrics.lag(lagSeconds);
  }

  /** Metrics must not end what they measure. */
  function attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      log.debug({ error: describeError(error) }, 'activity of a device not noted');
    }
  }

  return {
    onPush(event) {
      metrics.push(event);
      if (event.outcome === 'stored') attempt(() => heard(event.deviceId, event.inserted > 0));
    },
    onPull(event) {
      metrics.pull(event);
      if (event.outcome === 'served') attempt(() => heard(peerBook.find(event.peer)?.deviceId, false));
    },
    onHeard: (peerId, isNew) => attempt(() => heard(peerBook.find(peerId)?.deviceId, isNew)),
  };
}
