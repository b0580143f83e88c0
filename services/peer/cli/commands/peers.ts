// `peers`: lists the other devices of the user from the trackers, or from the peer book when no tracker lists a device.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { unixSeconds } from '../../../shared/clock.ts';
import { PROGRAM } from '../../config/config.ts';
import { discover } from '../../discovery/discovery.ts';
import { HUB_ROLE } from '../../discovery/listed-peer.ts';
import type { KnownPeer } from '../../discovery/peer-book.ts';
import { createTrackers, loadIdentity, openHistory } from '../context.ts';
import { formatAge, type Screen, shortenPeerIds } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

/** Printed when only hubs are listed, which is what a tracker with `TRACKER_STAR` does. */
const ONLY_HUB =
  'Only the hub is listed, and this device syncs with all your devices through it. In a network without TRACKER_STAR no other device is on.';

export const peers: Command = {
  name: 'peers',
  usage: 'peers [--json]',
  summary: 'list your other devices',
  help: `Asks all trackers, and marks the hub, the always-on device of this user. In a
star network a tracker lists only the hub, through which all devices sync. When
no tracker lists a device, prints the devices seen in the last seven days.

  ${PROGRAM.name} peers
  ${PROGRAM.name} peers --json | jq -r .peer_id`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen, signal }) {
    const ownPeerId = peerIdFromPrivateKey(await loadIdentity(config)).toString();
    const { database, peerBook } = openHistory(config);
    try {
      const { userId } = config;
      const deps = {
        trackers: createTrackers(config),
        peerBook,
        userId,
        ownPeerId,
        nowUnixSeconds: unixSeconds,
      };
      const { peers: found, source, problems, warnings } = await discover(deps, signal);
      for (const problem of [...problems, ...warnings]) screen.note(`warning: ${problem}`);
      for (const peer of found) {
        if (options['json'] === true) await screen.json(toJson(peer, source));
        else await showPeer(peer, screen);
      }
      const isOnlyHub =
        source === 'trackers' && found.length > 0 && found.every(({ isHub }) => isHub === true);
      if (isOnlyHub) screen.note(ONLY_HUB);
      if (found.length === 0) screen.note(`No other device of user ${userId} is known.`);
      else if (source === 'peer book')
        screen.note('No tracker lists a device. These devices are from the peer book.');
      return found.length === 0 ? 'unreachable' : 'ok';
    } finally {
      database.close();
    }
  },
};

function toJson(
  { peerId, addresses, deviceId, hostname, lastSeenUnixSeconds, isHub }: KnownPeer,
  source: string,
) {
  return {
    peer_id: peerId,
    device_id: deviceId ?? null,
    hostname: hostname ?? null,
    role: isHub === true ? HUB_ROLE : null,
    addrs: addresses,
    last_seen_unix: lastSeenUnixSeconds,
    source,
  };
}

async function showPeer(
  { peerId, addresses, deviceId, lastSeenUnixSeconds, isHub }: KnownPeer,
  screen: Screen,
): Promise<void> {
  const age = formatAge(unixSeconds() - lastSeenUnixSeconds);
  await screen.out(peerId, 'bold');
  await screen.out(`  ${deviceId ?? 'unnamed device'}${isHub === true ? ' (hub)' : ''}, seen ${age} ago`);
  for (const address of addresses)
    await screen.out(`  ${shortenPeerIds(address.replace(`/p2p/${peerId}`, ''))}`);
}
