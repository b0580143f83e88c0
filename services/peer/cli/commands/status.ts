// `sync-status` and `swarm-key`: what this device knows without asking anyone.
import { MAX_PEERS } from '../../discovery/discovery.ts';
import { loadSwarmKey, now, openHistory } from '../context.ts';
import { formatAmount, formatCount, formatAge, formatTable, printable, shortenPeerIds } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

export const syncStatus: Command = {
  name: 'sync-status',
  usage: 'sync-status [--json]',
  summary: 'how far each device has been read',
  help: `Prints what the database holds and, for each device it was synced with, the
cursor: the place in that device's history up to which everything is here. Asks
nobody.

  rustory-peer sync-status --json | jq .peers`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const { database, store, peerBook } = openHistory(config);
    try {
      const { entries, devices, lastSeq } = store.summary();
      const cursors = new Map(store.cursors().map(({ peerId, cursor }) => [peerId, cursor]));
      const known = new Map(
        peerBook.recall(config.settings.userId, 0, MAX_PEERS).map((peer) => [peer.peerId, peer]),
      );
      const peers = [...new Set([...cursors.keys(), ...known.keys()])].map((peerId) => ({
        peer_id: peerId,
        device_id: known.get(peerId)?.deviceId ?? null,
        cursor: cursors.get(peerId) ?? 0,
        last_seen_unix: known.get(peerId)?.lastSeen ?? null,
      }));
      if (options['json'] === true) {
        await screen.out(
          JSON.stringify({ database: database.path, entries, devices, last_seq: lastSeq, peers }),
        );
        return 'ok';
      }
      await screen.out(
        `${database.path}: ${formatAmount(entries, 'entry', 'entries')} of ${formatAmount(devices, 'device', 'devices')}`,
      );
      const rows = peers.map(({ peer_id: id, device_id: device, cursor, last_seen_unix: seen }) => [
        shortenPeerIds(printable(id)),
        printable(device ?? '-'),
        formatCount(cursor),
        seen === null ? '-' : `${formatAge(now() - seen)} ago`,
      ]);
      if (rows.length === 0) await screen.out('not synced with any device yet');
      else for (const line of formatTable(['PEER', 'DEVICE', 'CURSOR', 'SEEN'], rows)) await screen.out(line);
      return 'ok';
    } finally {
      database.close();
    }
  },
};

export const swarmKey: Command = {
  name: 'swarm-key',
  usage: 'swarm-key [--json]',
  summary: 'print the fingerprint of the swarm key',
  help: `Devices can talk only when their swarm keys are equal. The fingerprint tells
whether they are, and nothing of the key itself; rr prints the same one.

  rustory-peer swarm-key`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const { fingerprint } = loadSwarmKey(config);
    const path = config.settings.swarmKeyPath;
    await screen.out(
      options['json'] === true ? JSON.stringify({ fingerprint, path }) : `${fingerprint}  ${path}`,
    );
    return 'ok';
  },
};
