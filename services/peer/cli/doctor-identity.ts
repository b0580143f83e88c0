// The check of `doctor` whether another device uses the identity of this one. Only when a tracker lists the identity with
// another device, it looks a second time after 31 seconds, because one sighting is no proof.
import { existsSync } from 'node:fs';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { createLogger } from '../../shared/log.ts';
import { readIdentity } from '../../private-network/identity.ts';
import type { PeerConfig } from '../config/config.ts';
import { type IdentityWatch, SIGHTING_DISTANCE_SECONDS } from '../discovery/identity-watch.ts';
import { createOwnIdentityWatch, createTrackers, openHistory } from './context.ts';
import type { Finding } from './finding.ts';

/** A second more than the minimum, because sightings are dated in whole seconds. */
const PAUSE_MS = (SIGHTING_DISTANCE_SECONDS + 1) * 1000;

export interface IdentityCheckOptions {
  /** The peer id to look for. Default: that of the identity key; a hub has none. */
  readonly ownPeerId?: string | undefined;
  readonly signal: AbortSignal;
  /** Called before the wait for the second look. */
  readonly onWait: (seconds: number) => void;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** A finding if another device uses the identity. Problems of the keys, the database and the trackers have findings of their own. */
export async function checkIdentityUse(
  config: PeerConfig,
  { signal, onWait, sleep, ownPeerId }: IdentityCheckOptions,
): Promise<Finding[]> {
  const peerId = ownPeerId ?? readPeerId(config);
  if (config.trackers.length === 0 || peerId === undefined) return [];
  const history = openHistory(config);
  try {
    const watch = createOwnIdentityWatch(config, peerId, history, createLogger('peer', 'silent', 2));
    const isOther = await look(config, peerId, watch, signal);
    if (isOther && watch.problem()?.isCertain !== true) {
      onWait(PAUSE_MS / 1000);
      await sleep(PAUSE_MS, signal);
      await look(config, peerId, watch, signal);
    }
    const problem = watch.problem();
    if (problem === undefined) return [];
    return [{ subject: 'identity', state: problem.isCertain ? 'failed' : 'warning', detail: problem.text }];
  } finally {
    history.database.close();
  }
}

function readPeerId({ identityPath }: PeerConfig): string | undefined {
  if (!existsSync(identityPath)) return undefined;
  try {
    return peerIdFromPrivateKey(readIdentity(identityPath)).toString();
  } catch {
    return undefined;
  }
}

/** Whether a tracker lists the peer id with another device. */
async function look(
  config: PeerConfig,
  peerId: string,
  watch: IdentityWatch,
  signal: AbortSignal,
): Promise<boolean> {
  const lists = await Promise.allSettled(
    createTrackers(config).map(async (tracker) => tracker.list(config.userId, signal, peerId)),
  );
  signal.throwIfAborted();
  const records = lists.flatMap((list) => (list.status === 'fulfilled' ? list.value.peers : []));
  return records
    .filter((record) => record.peerId === peerId)
    .map((record) => watch.observe(record))
    .includes(true);
}
