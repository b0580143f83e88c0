// `sync-status` and `swarm-key`: print local state without a connection.
import { unixSeconds } from '../../../shared/clock.ts';
import { PROGRAM } from '../../config/config.ts';
import { MAX_PEERS } from '../../discovery/discovery.ts';
import { type History, loadSwarmKey, openHistory } from '../context.ts';
import { formatAge, formatAmount, formatCount, formatTable, shortenPeerIds } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

export const syncStatus: Command = {
  name: 'sync-status',
  usage: 'sync-status [--json]',
  summary: 'show how far each device is synced',
  help: `Prints the number of entries in the database and, for each device, the cursor:
the position in the history of that device up to which its entries are stored
here. Opens no connections.

  ${PROGRAM.name} sync-status --json | jq .peers`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const history = openHistory(config);
    const { database, store } = history;
    try {
      const { entries, devices, lastSeq } = store.summary();
      const peers = listPeers(history, config.userId);
      if (options['json'] === true) {
        await screen.json({ database: database.path, entries, devices, last_seq: lastSeq, peers });
        return 'ok';
      }
      await screen.out(
        `${database.path}: ${formatAmount(entries, 'entry', 'entries')} of ${formatAmount(devices, 'device', 'devices')}`,
      );
      const rows = peers.map(({ peer_id: id, device_id: device, cursor, last_seen_unix: lastSeen }) => [
        shortenPeerIds(id),
        device ?? '-',
        formatCount(cursor),
        lastSeen === null ? '-' : `${formatAge(unixSeconds() - lastSeen)} ago`,
      ]);
      if (rows.length === 0) await screen.out('not synced with any device yet');
      else for (const line of formatTable(['PEER', 'DEVICE', 'CURSOR', 'SEEN'], rows)) await screen.out(line);
      return 'ok';
    } finally {
      database.close();
    }
  },
};

/** Every device that has a cursor or is in the peer book. */
function listPeers({ store, peerBook }: History, userId: string) {
  const cursors = new Map(store.cursors().map((of) => [of.peerId, of]));
  const known = new Map(peerBook.recall(userId, 0, MAX_PEERS).map((peer) => [peer.peerId, peer]));
  return [...new Set([...cursors.keys(), ...known.keys()])].map((peerId) => ({
    peer_id: peerId,
    device_id: known.get(peerId)?.deviceId ?? null,
    cursor: cursors.get(peerId)?.cursor ?? 0,
    delete_cursor: cursors.get(peerId)?.deleteCursor ?? 0,
    last_seen_unix: known.get(peerId)?.lastSeenUnixSeconds ?? null,
  }));
}

export const swarmKey: Command = {
  name: 'swarm-key',
  usage: 'swarm-key [--json]',
  summary: 'print the fingerprint of the swarm key',
  help: `Devices can connect only when they have the same swarm key. Equal fingerprints
mean equal keys; the key cannot be derived from its fingerprint. rr prints the
same fingerprint.

  ${PROGRAM.name} swarm-key`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const { fingerprint } = loadSwarmKey(config);
    const path = config.swarmKeyPath;
    if (options['json'] === true) await screen.json({ fingerprint, path });
    else await screen.out(`${fingerprint}  ${path}`);
    return 'ok';
  },
};
