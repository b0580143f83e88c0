// `sync-status` and `swarm-key`: print local state without a connection.
import { unixSeconds } from '../../../shared/clock.ts';
import { type PeerConfig, PROGRAM } from '../../config/config.ts';
import { MAX_PEERS } from '../../discovery/discovery.ts';
import type { SyncRecord } from '../../history/push-store.ts';
import { type History, loadSwarmKey, openHistory } from '../context.ts';
import { formatAge, formatAmount, formatCount, formatTable, shortenPeerIds } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

export const syncStatus: Command = {
  name: 'sync-status',
  usage: 'sync-status [--json]',
  summary: 'show how far each device is synced',
  help: `Prints the number of entries in the database and, for each device, the cursor:
the position in the history of that device up to which its entries are stored
here. TO PUSH is the number of entries and deletions of this device that the
other one has not acknowledged yet, by a push or by its own pulls; it is "-" if
none was ever acknowledged. SYNCED is the time since the last complete pull.
Opens no connections.

  ${PROGRAM.name} sync-status --json | jq .peers`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const history = openHistory(config);
    const { database, store } = history;
    try {
      const { entries, devices, lastSeq } = store.summary();
      const peers = listPeers(history, config);
      if (options['json'] === true) {
        await screen.json({ database: database.path, entries, devices, last_seq: lastSeq, peers });
        return 'ok';
      }
      await screen.out(
        `${database.path}: ${formatAmount(entries, 'entry', 'entries')} of ${formatAmount(devices, 'device', 'devices')}`,
      );
      if (peers.length === 0) await screen.out('not synced with any device yet');
      else for (const line of formatTable(HEAD, peers.map(toRow))) await screen.out(line);
      for (const { peer_id: id, last_push: push } of peers)
        if (push?.problem !== undefined && push.problem !== null)
          screen.note(
            shortenPeerIds(
              `${id}: last push ${formatAge(unixSeconds() - push.at_unix)} ago: ${push.problem}`,
            ),
          );
      return 'ok';
    } finally {
      database.close();
    }
  },
};

const HEAD = ['PEER', 'DEVICE', 'CURSOR', 'TO PUSH', 'SYNCED', 'SEEN'];

type PeerStatus = ReturnType<typeof listPeers>[number];

function toRow({ peer_id: id, is_hub: isHub, cursor, push_backlog: backlog, ...peer }: PeerStatus): string[] {
  return [
    shortenPeerIds(id),
    `${peer.device_id ?? '-'}${isHub ? ' (hub)' : ''}`,
    formatCount(cursor),
    backlog === null ? '-' : formatCount(backlog.entries + backlog.deletions),
    ageOf(peer.synced_unix),
    ageOf(peer.last_seen_unix),
  ];
}

function ageOf(time: number | null): string {
  return time === null ? '-' : `${formatAge(unixSeconds() - time)} ago`;
}

/** Every device that has a cursor or is in the peer book. */
function listPeers({ store, pushes, peerBook }: History, { userId, deviceId }: PeerConfig) {
  const cursors = new Map(store.cursors().map((of) => [of.peerId, of]));
  const pushed = new Map(pushes.positions().map((of) => [of.peerId, of]));
  const known = new Map(peerBook.recall(userId, 0, MAX_PEERS).map((peer) => [peer.peerId, peer]));
  const records = pushes.records();
  return [...new Set([...cursors.keys(), ...known.keys(), ...pushed.keys()])].map((peerId) => {
    const position = pushed.get(peerId);
    const record = records.get(peerId);
    return {
      peer_id: peerId,
      device_id: known.get(peerId)?.deviceId ?? null,
      is_hub: record?.hubUnixSeconds !== undefined,
      cursor: cursors.get(peerId)?.cursor ?? 0,
      delete_cursor: cursors.get(peerId)?.deleteCursor ?? 0,
      push_cursor: position?.cursor ?? 0,
      push_delete_cursor: position?.deleteCursor ?? 0,
      push_backlog: position === undefined ? null : pushes.backlog({ userId, deviceId }, position),
      synced_unix: record?.pulledUnixSeconds ?? null,
      last_push: lastPushOf(record),
      last_seen_unix: known.get(peerId)?.lastSeenUnixSeconds ?? null,
    };
  });
}

function lastPushOf(record: SyncRecord | undefined) {
  if (record?.pushUnixSeconds === undefined) return null;
  const { pushUnixSeconds, pushState, pushProblem } = record;
  return {
    at_unix: pushUnixSeconds,
    state: pushState?.replace(' ', '_') ?? null,
    problem: pushProblem ?? null,
  };
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
