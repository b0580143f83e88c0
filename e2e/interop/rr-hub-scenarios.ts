// The scenarios of `rr` with our hub: devices that are never on at the same time.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Entry } from '../../services/peer/history/entry.ts';
import type { RrCell } from './rr-cell.ts';
import { createLaptop, type Laptop, register, type RrHub, startHub } from './rr-hub.ts';
import { RR_PROGRAMS } from './rr-programs.ts';

const ENTRIES = 5;

/** An address of the range of carriers, which counts as public and exists only in the namespace of a cell. */
const PUBLIC_ADDRESS = '100.64.17.1';
const HUB_PORT = 4002;

/** 0.1 has a random peer id in each round, so no list contains it. */
const ANYONE = { RUSTORY_SERVE_TO: 'anyone' };

const serveTo = (cell: RrCell): Record<string, string> => (cell.isGen1 ? {} : ANYONE);

export async function hub(cell: RrCell): Promise<void> {
  const started = await startHub(cell, { env: serveTo(cell) });
  await meetAtHub(cell, started);
}

export async function direct(cell: RrCell): Promise<void> {
  const silent = cell.silentNetwork();
  const { under } = silent;
  const [, , , namespace = ''] = under;
  const args = ['-n', namespace, 'address', 'add', `${PUBLIC_ADDRESS}/32`, 'dev', 'lo'];
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [relay, tracker] = await Promise.all([
    cell.startRelay({ RELAY_LISTEN: `/ip4/${silent.host}/tcp/0` }),
    cell.startTracker({ TRACKER_LISTEN: `${silent.host}:0` }),
  ]);
  const announced = `/ip4/${PUBLIC_ADDRESS}/tcp/${HUB_PORT}`;
  const env = {
    ...serveTo(cell),
    RUSTORY_LISTEN: `/ip4/0.0.0.0/tcp/${HUB_PORT}`,
    RUSTORY_ANNOUNCE_ADDRS: announced,
  };
  const started = await startHub(cell, { relay, tracker, under, env });
  const { addrs } = await started.running.waitFor('registered');
  assert.deepEqual(addrs, [`${announced}/p2p/${started.peerId}`]);
  await meetAtHub(cell, started, { relay, tracker, under });
}

/** Three devices that are never on at the same time, one of them with JSON only; the hub is killed once in between. */
async function meetAtHub(cell: RrCell, started: RrHub, place: Parameters<typeof createLaptop>[2] = {}) {
  const json = { ...place, options: ['--protocol', '1.0.0'] };
  const laptops = [
    await createLaptop(cell, 'laptop', place),
    await createLaptop(cell, 'desktop', json),
    await createLaptop(cell, 'phone', place),
  ] as const;
  const all: Entry[] = [];
  for (const laptop of laptops) all.push(...(await record(cell, laptop, ENTRIES)));
  const [first, second, third] = laptops;
  const lines = await first.turn();
  assert.ok(
    lines.some(({ msg, peer, pushed }) => msg === 'synced' && peer === started.peerId && pushed === ENTRIES),
    JSON.stringify(lines),
  );
  await started.kill();
  await started.start();
  for (const laptop of [second, third, first, second]) await laptop.turn();
  for (const laptop of laptops) assert.deepEqual(await laptop.entryIds(), ids(all));
  assert.deepEqual(started.entryIds(), ids(all));
  if (!cell.isGen1) return;
  const [deleted = '', ...kept] = ids(all);
  await first.run('delete', '--entry-id', deleted);
  for (const laptop of laptops) await laptop.turn();
  for (const laptop of laptops) {
    assert.deepEqual(await laptop.entryIds(), kept);
    assert.deepEqual(await laptop.deletedIds(), [deleted]);
  }
  assert.deepEqual(started.entryIds(), kept);
}

export async function mixed(cell: RrCell): Promise<void> {
  const started = await startHub(cell, { env: ANYONE });
  const names = ['rr 1.x yamux', 'rr 1.x mplex', 'rr 0.1 yamux', cell.program.name];
  const laptops = await Promise.all(
    names.map(async (name, index) => {
      const program = RR_PROGRAMS.find((known) => known.name === name);
      assert.ok(program);
      return createLaptop(cell, `mixed-${index}`, { program });
    }),
  );
  const all: Entry[] = [];
  for (const laptop of laptops) all.push(...(await record(cell, laptop, ENTRIES)));
  for (const laptop of [...laptops, ...laptops]) await laptop.turn();
  for (const laptop of laptops) assert.deepEqual(await laptop.entryIds(), ids(all));
  // A device of 1.x deletes an entry of the device of 0.1, which knows no deletions and keeps it.
  const [first, second, old] = laptops as [Laptop, Laptop, Laptop, Laptop];
  const deleted = all.find(({ device_id: device }) => device === old.name)?.entry_id ?? '';
  const kept = ids(all).filter((id) => id !== deleted);
  await first.run('delete', '--entry-id', deleted);
  for (const laptop of [first, old, second]) await laptop.turn();
  assert.deepEqual(await second.entryIds(), kept);
  assert.deepEqual(started.entryIds(), kept);
  assert.deepEqual(await old.entryIds(), ids(all));
  // After a loss it pushes the entry once more, before anyone can tell the new hub of the deletion.
  await started.stop();
  started.lose();
  await started.start(ANYONE);
  for (const laptop of [old, first, second, old]) await laptop.turn();
  assert.ok(!(await second.entryIds()).includes(deleted));
  assert.ok(!started.entryIds().includes(deleted));
}

export async function refuses(cell: RrCell): Promise<void> {
  // A hub for members only refuses every device of 0.1.
  const started = await startHub(cell);
  const laptop = await createLaptop(cell, 'laptop');
  const entries = cell.entries('laptop', ENTRIES);
  // Entries of 1.x that were recorded before the user id of this device was changed; rr pushes them too.
  const recorded = entries.map((entry) => ({ ...entry, user_id: cell.isGen1 ? 'somebody-else' : cell.user }));
  await laptop.record([...recorded.slice(0, 1), ...entries.slice(1)]);
  await register(cell.network.tracker, laptop);
  for (let round = 0; round < 2; round += 1) {
    const { code, lines } = await laptop.run('p2p-sync', '--push');
    assert.notEqual(code, 0, JSON.stringify(lines));
    const failed = lines.find(({ msg }) => msg === 'sync failed');
    if (cell.isGen1) assert.match(String(failed?.['reason']), /the push was refused/);
    assert.deepEqual(pushCursors(laptop), []);
    assert.deepEqual(started.entryIds(), []);
  }
  if (cell.isGen1) {
    const database = new DatabaseSync(laptop.databasePath, { timeout: 5_000 });
    database.prepare('UPDATE entries SET user_id = ?').run(cell.user);
    database.close();
  } else {
    await started.stop();
    await started.start(ANYONE);
  }
  await laptop.turn();
  assert.deepEqual(started.entryIds(), ids(entries));
  assert.equal(pushCursors(laptop).length, 1);
}

export async function lost(cell: RrCell): Promise<void> {
  const started = await startHub(cell, { env: serveTo(cell) });
  const peerIds = [started.peerId];
  const [first, second] = [await createLaptop(cell, 'first'), await createLaptop(cell, 'second')];
  const all = [...(await record(cell, first, ENTRIES)), ...(await record(cell, second, ENTRIES))];
  for (const laptop of [first, second, first]) await laptop.turn();
  const backup = join(cell.folder(), 'backup.db');
  await started.run('backup', backup);
  // After the backup: two more entries, and a deletion.
  all.push(...(await record(cell, first, 2, ENTRIES)));
  const deleted = cell.isGen1 ? (all[0]?.entry_id ?? '') : undefined;
  if (deleted !== undefined) await first.run('delete', '--entry-id', deleted);
  const kept = ids(all).filter((id) => id !== deleted);
  await first.turn();
  await second.turn();

  await started.kill();
  started.lose();
  await started.start();
  peerIds.push(started.peerId);
  const third = await createLaptop(cell, 'third');
  for (const laptop of [second, first, third]) await laptop.turn();
  for (const laptop of [first, second, third]) assert.deepEqual(await laptop.entryIds(), kept);
  assert.deepEqual(started.entryIds(), kept);

  await started.stop();
  started.lose();
  await started.run('restore', backup);
  await started.start();
  peerIds.push(started.peerId);
  assert.equal(new Set(peerIds).size, 3, `The hub must have a new peer id each time: ${peerIds.join()}`);
  const fourth = await createLaptop(cell, 'fourth');
  // The hub offers the deleted entry until the device that deleted it has pushed.
  for (const laptop of [third, second, first, fourth]) await laptop.turn();
  for (const laptop of [first, second, third, fourth]) assert.deepEqual(await laptop.entryIds(), kept);
  assert.deepEqual(started.entryIds(), kept);
}

export async function peerPushes(cell: RrCell): Promise<void> {
  const device = await cell.device('serving');
  await device.reachable();
  const ours = cell.ours('ours');
  const [deleted, ...kept] = cell.entries('ours', ENTRIES);
  assert.ok(deleted);
  const push = async () => {
    const { code, stdout, stderr } = await ours.run('sync', '--push', '--json');
    assert.equal(code, 0, `${stdout}${stderr}`);
  };
  ours.insert([deleted, ...kept, ...cell.entries('another', 2)]);
  await push();
  assert.deepEqual(await device.entryIds(), ids([deleted, ...kept]));
  const { code, stderr } = await ours.run('delete', deleted.entry_id);
  assert.equal(code, 0, stderr);
  await push();
  // 0.1 knows no deletions, and must not reject a push because of one.
  assert.deepEqual(await device.entryIds(), ids(cell.isGen1 ? kept : [deleted, ...kept]));
  if (cell.isGen1) assert.deepEqual(await device.deletedIds(), [deleted.entry_id]);
}

async function record(cell: RrCell, laptop: Laptop, count: number, first = 0): Promise<Entry[]> {
  const entries = cell.entries(laptop.name, first + count).slice(first);
  await laptop.record(entries);
  return entries;
}

function pushCursors({ databasePath }: Laptop): unknown[] {
  const database = new DatabaseSync(databasePath, { readOnly: true, timeout: 5_000 });
  const rows = database.prepare('SELECT * FROM peer_push_state').all();
  database.close();
  return rows;
}

function ids(entries: readonly { readonly entry_id: string }[]): string[] {
  return entries.map(({ entry_id }) => entry_id).toSorted();
}
