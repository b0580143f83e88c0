// Pulls of a device from a scripted peer, whose history a test replaces between them.
import { toWire } from '../services/peer/history/entry.ts';
import { pull } from '../services/peer/sync/pull.ts';
import { createTestPullDeps, makeEntries, startDevice, type TestDevice } from './peer.ts';
import { type ScriptedPeer, startScriptedPeer } from './scripted-peer.ts';

export const HOUR = 3_600;
/** The clock of the device that pulls. */
export const clock = { unixSeconds: 1_800_000_000 };

export async function startPair() {
  return { client: await startDevice(), peer: await startScriptedPeer() };
}

/** One pull, as of a new process: only the database is kept. */
export async function pullOnce(client: TestDevice, peer: ScriptedPeer, limit = 100) {
  const sent = peer.requests.length;
  const deps = { ...createTestPullDeps(client), nowUnixSeconds: () => clock.unixSeconds };
  const report = await pull({ peerId: peer.peerId, addresses: peer.addresses }, deps, { limit });
  return { ...report, requests: peer.requests.slice(sent) };
}

/** The ids of all entries of a device. */
export function idsOf({ store }: TestDevice): string[] {
  const ids: string[] = [];
  store.readAfter(0, 10_000, ({ entry }) => ids.push(entry.entry_id) > 0);
  return ids.toSorted();
}

/** Rows with these numbers, each with an entry of its own. */
export function rows(name: string, from: number, count: number) {
  return makeEntries(count, name).map((entry, index) => ({ seq: from + index, entry: toWire(entry) }));
}
