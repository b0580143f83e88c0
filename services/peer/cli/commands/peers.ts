// `peers`: who else belongs to this user, as the trackers tell, or the peer book where they do not.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { discover } from '../../discovery/discovery.ts';
import { createTrackers, loadIdentity, now, openHistory } from '../context.ts';
import { formatAge, printable, shortenPeerIds } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

export const peers: Command = {
  name: 'peers',
  usage: 'peers [--json]',
  summary: 'list your other devices',
  help: `Asks all trackers; where none knows any, prints those seen in the last seven
days.

  rustory-peer peers
  rustory-peer peers --json | jq -r .peer_id`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen, signal }) {
    const ownPeerId = peerIdFromPrivateKey(await loadIdentity(config)).toString();
    const { database, peerBook } = openHistory(config);
    try {
      const trackers = createTrackers(config);
      const { userId } = config.settings;
      const {
        peers: found,
        source,
        problems,
      } = await discover({ trackers, peerBook, userId, ownPeerId, now }, signal);
      for (const problem of problems) screen.note(`warning: ${problem}`);
      for (const { peerId, addresses, deviceId, hostname, lastSeen } of found) {
        if (options['json'] === true) {
          const fields = { peer_id: peerId, device_id: deviceId ?? null, hostname: hostname ?? null };
          await screen.out(JSON.stringify({ ...fields, addrs: addresses, last_seen_unix: lastSeen, source }));
          continue;
        }
        const age = formatAge(now() - lastSeen);
        await screen.out(
          `${screen.style('bold', printable(peerId))}\n  ${printable(deviceId ?? 'unnamed device')}, seen ${age} ago`,
        );
        for (const address of addresses)
          await screen.out(`  ${shortenPeerIds(printable(address).replace(`/p2p/${peerId}`, ''))}`);
      }
      if (found.length === 0) screen.note(`no other device of user ${userId} is known`);
      else if (source === 'peer book') screen.note('these are from the peer book: no tracker knows any now');
      return found.length === 0 ? 'unreachable' : 'ok';
    } finally {
      database.close();
    }
  },
};
