// The scenarios of `rr` with our tracker and our peer.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../../services/peer/history/entry.ts';
import type { Device } from '../../testing/network.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { RETRY_TIMEOUT_MS, type RrCell, syncOnce } from './rr-cell.ts';
import type { RrDevice } from './rr-device.ts';
import { RR_PROGRAMS } from './rr-programs.ts';

const LIST_SIZE = 1000;
const REGISTRATIONS_AT_ONCE = 16;
const ROUND_PAUSE_MS = 1_000;

/** A cursor that the new database never had is sent once, and once more after a probe was answered. */
const MAX_ENDS = 2;

/** Registers 1,000 other devices, whose addresses nobody dials; their list would be longer than `rr` accepts. */
export async function largeList(cell: RrCell): Promise<void> {
  const { tracker } = cell.network;
  const others = peerIds(LIST_SIZE);
  const register = async (id: string, index: number): Promise<void> => {
    const response = await fetch(`${tracker.url}/api/v1/peers/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        peer_id: id,
        addrs: Array.from({ length: 6 }, (_, last) => `/ip4/192.168.${last}.7/tcp/41234`),
        meta: {
          device_id: `laptop-${index}`,
          hostname: `laptop-${index}.corp.example`,
          user_id: cell.user,
          version: '1.1.1',
          build_revision: 'f'.repeat(40),
          build_dirty: null,
        },
      }),
    });
    assert.equal(response.status, 200, await response.text());
  };
  for (let first = 0; first < others.length; first += REGISTRATIONS_AT_ONCE)
    await Promise.all(
      others
        .slice(first, first + REGISTRATIONS_AT_ONCE)
        .map(async (id, index) => register(id, first + index)),
    );
  const serving = await cell.device('serving');
  await serving.record(cell.entries('serving', 1));
  await serving.reachable();
  const asker = await cell.asker();
  await asker.reachable();
  await syncOnce(asker, serving);
}

export async function serves(cell: RrCell): Promise<void> {
  const ours = cell.ours('ours');
  const entries = cell.entries('ours', 5);
  ours.insert(entries);
  const serving = await ours.serve();
  const device = await cell.device('syncing');
  if (cell.isGen1) await device.reachable();
  await pullFrom(device);
  assert.deepEqual(await device.entryIds(), ids(entries));
  await serving.stop();
}

export async function syncs(cell: RrCell): Promise<void> {
  const device = await cell.device('serving');
  const entries = cell.entries('serving', 5);
  await device.record(entries);
  await device.reachable();
  const ours = cell.ours('ours');
  await pull(ours);
  assert.deepEqual(ids(ours.entries()), ids(entries));
}

export async function deletions(cell: RrCell): Promise<void> {
  const entries = cell.entries('first', 5);
  const [deleted = '', ...kept] = ids(entries);
  const ours = cell.ours('ours');
  // The device that deletes; for 0.1 a device of 1.x that has the entries of the 0.1 device.
  const first = await cell.device('first');
  await first.record(entries);
  const serving = await first.reachable();
  await pull(ours);
  assert.deepEqual(ids(ours.entries()), [deleted, ...kept]);
  const deleting = cell.isGen1 ? first : await cell.asker();
  if (!cell.isGen1) {
    await deleting.reachable();
    await syncOnce(deleting, first);
  }
  const third = await cell.device('third', { program: gen1Program(cell) });
  const thirdServing = await third.reachable();
  await syncOnce(third, first);
  assert.deepEqual(await third.entryIds(), [deleted, ...kept]);
  await deleting.run('delete', '--entry-id', deleted);
  await pull(ours);
  assert.deepEqual(ids(ours.entries()), kept);
  await serving.stop();
  if (!cell.isGen1) await offerAgain(cell, ours, entries, kept);
  // The third device gets the deletion from our peer only.
  const oursServing = await ours.serve();
  await pullUntil(third, kept);
  assert.deepEqual(await third.deletedIds(), [deleted]);
  await thirdServing.stop();
  await oursServing.stop();
}

/** Another device of 0.1 that has the deleted entry; our peer must not take it. */
async function offerAgain(
  cell: RrCell,
  ours: Device,
  entries: readonly Entry[],
  kept: readonly string[],
): Promise<void> {
  const other = await cell.device('other');
  await other.record(entries);
  const process = await other.reachable();
  await pull(ours);
  await process.waitFor('served');
  assert.deepEqual(ids(ours.entries()), kept);
  await process.stop();
}

export async function newDatabase(cell: RrCell): Promise<void> {
  const device = await cell.device('serving');
  await device.record(cell.entries('serving', 5));
  const before = await device.reachable('daemon');
  const ours = cell.ours('ours');
  await pull(ours);
  await before.stop();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${device.databasePath}${suffix}`, { force: true });
  const [entry] = cell.entries('fresh', 1);
  assert.ok(entry);
  await device.record([entry]);
  const daemon = await device.reachable('daemon', '--service-manager');
  const endMs = performance.now() + RETRY_TIMEOUT_MS;
  let last = '';
  while (!ids(ours.entries()).includes(entry.entry_id)) {
    const ended = daemon.logged('ended').length;
    assert.ok(ended <= MAX_ENDS, `p2p-serve ended ${ended} times: ${last}`);
    assert.ok(performance.now() < endMs, `The new entry did not arrive: ${last}`);
    const { stdout, stderr } = await ours.run('sync', '--json');
    last = `${stdout}${stderr}`;
    await sleep(ROUND_PAUSE_MS);
  }
  assert.ok(daemon.logged('ended').length <= MAX_ENDS);
}

function gen1Program(cell: RrCell): (typeof RR_PROGRAMS)[number] {
  if (cell.isGen1) return cell.program;
  const program = RR_PROGRAMS.find(({ version }) => version === '1.1.1');
  assert.ok(program);
  return program;
}

function ids(entries: readonly { readonly entry_id: string }[]): string[] {
  return entries.map(({ entry_id }) => entry_id).toSorted();
}

/** One round of our peer. Another device of the cell may be unreachable, so its exit code is not checked. */
async function pull(ours: Device): Promise<void> {
  const { stdout, stderr } = await ours.run('sync', '--json');
  assert.match(stdout, /"entries"/, stderr);
}

async function pullFrom(device: RrDevice): Promise<void> {
  const { lines, code, stderr } = await device.run('p2p-sync');
  assert.equal(code, 0, `${JSON.stringify(lines)} ${stderr}`);
}

/** Rounds of a device until it has these entries only. */
async function pullUntil(device: RrDevice, expected: readonly string[]): Promise<void> {
  const endMs = performance.now() + RETRY_TIMEOUT_MS;
  for (;;) {
    const { lines } = await device.run('p2p-sync');
    const found = await device.entryIds();
    if (found.join() === expected.join()) return;
    if (performance.now() > endMs) assert.deepEqual(found, expected, JSON.stringify(lines));
    await sleep(ROUND_PAUSE_MS);
  }
}
