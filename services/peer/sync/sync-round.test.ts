import { afterEach, describe, expect, test } from '@jest/globals';
import { DatabaseError, openDatabase } from '../history/database.ts';
import { toWire } from '../history/entry.ts';
import { createPeerBook } from '../discovery/peer-book.ts';
import { createPeerTurns } from '../discovery/peer-turns.ts';
import { peerIdOf } from '../network/addresses.ts';
import type { Store } from '../history/store.ts';
import { syncRound } from './sync-round.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestPullDeps, makeDirectory, makeEntries, startDevice } from '../../../testing/peer.ts';
import { startPullServer, writeJson } from '../../../testing/pull-server.ts';
import { until } from '../../../testing/wait.ts';

afterEach(cleanUp);

/** Devices with one entry each that respond once four pulls are concurrent, and the number of concurrent pulls. */
async function startServers(count: number) {
  const pulls = { current: 0, max: 0 };
  const addresses: string[] = [];
  for (let server = 0; server < count; server += 1) {
    const { target } = await startPullServer(async (stream, { cursor }) => {
      pulls.current += 1;
      pulls.max = Math.max(pulls.max, pulls.current);
      await until(() => pulls.max >= 4, 'four pulls are concurrent');
      const entries = cursor === 0 ? makeEntries(1, `device-${server}`).map(toWire) : [];
      await writeJson(stream, { entries, next_cursor: entries.length === 0 ? null : 1 });
      pulls.current -= 1;
    });
    addresses.push(String(target.addresses[0]));
  }
  return { addresses, pulls };
}

async function runRound(peers: readonly string[], change: (store: Store) => Store = (store) => store) {
  const client = await startDevice();
  const database = openDatabase(`${makeDirectory()}/book.db`);
  onCleanup(() => database.close());
  const discovery = {
    trackers: [],
    peerBook: createPeerBook(database),
    userId: 'ada',
    ownPeerId: client.peerId,
    nowUnixSeconds: () => 0,
  };
  const { signal } = new AbortController();
  const pulls = { ...createTestPullDeps(client), store: change(client.store) };
  const targets = peers.map((address) => ({ peerId: peerIdOf(address) ?? '', addresses: [address] }));
  const deps = { discovery, pulls, turns: createPeerTurns(database), random: () => 0.5 };
  return { client, round: syncRound(deps, { limit: 100, targets, signal }) };
}

describe('a round', () => {
  test('pulls from all peers, at most four at a time, also when one of them fails', async () => {
    const { addresses, pulls } = await startServers(7);
    const unreachable = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
    const { client, round } = await runRound([unreachable, ...addresses]);
    const { reports } = await round;
    expect(reports).toHaveLength(8);
    // With their errors, so that an unexpected one is shown.
    expect(reports.filter(({ error }) => error !== undefined)).toEqual([
      expect.objectContaining({ peerId: unreachable.split('/').at(-1) }),
    ]);
    expect(client.store.summary().entries).toBe(7);
    expect(pulls.max).toBe(4);
  });

  test('ends for all peers when the database fails', async () => {
    const { addresses } = await startServers(6);
    const { client, round } = await runRound(addresses, (store) => ({
      ...store,
      insertPage: () => {
        throw new DatabaseError('history.db', new Error('the disk is gone'));
      },
    }));
    await expect(round).rejects.toThrow(DatabaseError);
    expect(client.node.libp2p.getConnections()).toEqual([]);
  });
});
