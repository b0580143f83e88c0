// The checks of `doctor` with the configuration of a hub: its identity follows from its secret and its database, and a
// tracker must list it as the hub of its user.
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { unixSeconds } from '../../shared/clock.ts';
import type { PeerConfig } from '../config/config.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';
import { hubWarnings } from '../hub/configuration.ts';
import { createTrackers } from './context.ts';
import { type Finding, sentencesOf } from './finding.ts';
import { loadHubIdentity } from './hub-identity.ts';
import { formatAge, formatAmount } from './screen.ts';

/** What the hub starts with, but will not work as its operator expects. */
export function checkHubConfig(config: PeerConfig): Finding[] {
  return hubWarnings(config).map((detail) => ({ subject: 'config', state: 'warning', detail }));
}

/** The identity of the hub; `undefined` when it cannot be derived. */
export async function checkHubIdentity(
  config: PeerConfig,
): Promise<{ readonly finding: Finding; readonly identity: PrivateKey | undefined }> {
  try {
    const { identity } = await loadHubIdentity(config);
    const peerId = peerIdFromPrivateKey(identity).toString();
    const detail = `${peerId}, the hub of user ${config.userId} with ${config.databasePath}`;
    return { finding: { subject: 'identity', state: 'ok', detail }, identity };
  } catch (error) {
    return {
      finding: { subject: 'identity', state: 'failed', detail: sentencesOf(error) },
      identity: undefined,
    };
  }
}

/** Whether the trackers list this hub. Those that do not answer have findings of their own. */
export async function checkOwnHub(
  config: PeerConfig,
  peerId: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const lists = await Promise.allSettled(
    createTrackers(config).map(async ({ url, list }) => {
      const { peers } = await list(config.userId, signal, peerId);
      return { url, own: peers.find((peer) => peer.peerId === peerId) };
    }),
  );
  signal.throwIfAborted();
  return lists.flatMap((list) => (list.status === 'fulfilled' ? describeRecord(list.value) : []));
}

function describeRecord({
  url,
  own,
}: {
  readonly url: string;
  readonly own: KnownPeer | undefined;
}): Finding {
  const subject = 'hub';
  if (own === undefined)
    return {
      subject,
      state: 'warning',
      detail: `This hub is not registered at ${url}.`,
      advice:
        'Look at the log of the hub: without a reservation and without an announced address it is not registered.',
    };
  if (own.isHub !== true)
    return {
      subject,
      state: 'warning',
      detail: `${url} lists this hub as an ordinary device.`,
      advice: 'Look for another process that registers the identity of the hub.',
    };
  const addresses = formatAmount(own.addresses.length, 'address', 'addresses');
  const age = formatAge(unixSeconds() - own.lastSeenUnixSeconds);
  return {
    subject,
    state: 'ok',
    detail: `This hub is registered at ${url} with ${addresses}, seen ${age} ago.`,
  };
}
