// Finds another device of the user with the device id of the hub. `rr` skips peers that have its own device id, so that this
// device and the hub would never sync, and the tracker cannot know which of the two is meant.
import type { Logger } from '../../shared/log.ts';
import { isSameDevice } from '../discovery/identity-watch.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';

/** Maximum devices that are remembered. Above this limit all are forgotten. */
const MAX_REMEMBERED = 64;

export interface NameWatchDeps {
  readonly deviceId: string;
  readonly peerId: string;
  /** The devices of the user that trackers listed. */
  readonly known: () => readonly Pick<KnownPeer, 'peerId' | 'deviceId' | 'lastSeenUnixSeconds'>[];
  readonly log: Logger;
}

/** Returns a function to call after each round. */
export function createNameWatch({ deviceId, peerId, known, log }: NameWatchDeps): () => void {
  /** When each other peer with this device id was last registered. That of an earlier identity of the hub stays the same. */
  const lastSeen = new Map<string, number>();
  const warned = new Set<string>();
  return () => {
    if (lastSeen.size > MAX_REMEMBERED) lastSeen.clear();
    for (const other of known()) {
      if (other.peerId === peerId || !isSameDevice(other.deviceId ?? '', deviceId)) continue;
      const before = lastSeen.get(other.peerId);
      lastSeen.set(other.peerId, other.lastSeenUnixSeconds);
      if (before === undefined || other.lastSeenUnixSeconds <= before || warned.has(other.peerId)) continue;
      if (warned.size > MAX_REMEMBERED) warned.clear();
      warned.add(other.peerId);
      log.warn(
        { peer: other.peerId, deviceId },
        'another device of this user has the device_id of the hub, so that rr never syncs them; give one of them another device_id',
      );
    }
  };
}
