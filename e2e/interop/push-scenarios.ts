// The scenarios of pushes: each program pushes to our peer, and our peer pushes to each program.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../../services/peer/history/entry.ts';
import type { Device } from '../../testing/network.ts';
import { type Cell, trickyEntries } from './cell.ts';
import { find } from './steps.ts';

const VERSIONS = ['1.0.0', '1.0.1'] as const;

/** The user of `cell.device`. */
const USER = 'demo';

/** Maximum entries of a push of the programs. */
const LIMIT = '20';

/** Pushes that are no valid message. */
const BAD_PUSHES = ['garbage', 'cut', 'large', 'bomb'] as const;

/** Bad answers of a program before the first good one. */
const BAD_ANSWERS = ['refuse', 'garbage', 'close'] as const;

/** Maximum rounds of our peer until a program that answers badly at first has everything. */
const MAX_ROUNDS = 8;

const ROUND_PAUSE_MS = 500;

/** The program pushes in both versions; then it pushes what is no valid message, and invalid items among valid ones. */
export async function pushes(cell: Cell): Promise<void> {
  const device = cell.device(cell.network.relay);
  const serving = await device.serve();
  const peerId = String(serving.logged('node started')[0]?.['peerId']);
  const stored: Entry[] = [];
  const push = async (...args: readonly string[]) =>
    cell.run(cell.network.relay, ['push', '--peer', peerId, '--limit', LIMIT, ...args]);
  for (const version of VERSIONS) {
    const entries = entriesOf(`theirs-${version}`);
    const args = [...cell.entriesFile(entries), '--version', version];
    const { lines, code, stderr } = await push(...args);
    assert.equal(code, 0, stderr);
    const pushed = find(lines, 'pushed');
    assert.equal(pushed?.['protocol'], `/rustory/entries-push/${version}`);
    assert.deepEqual([pushed['inserted'], pushed['ignored']], [entries.length, 0]);
    stored.push(...entries);
    if (version === '1.0.0') continue;
    // As after an answer that was lost.
    const again = find((await push(...args)).lines, 'pushed');
    assert.deepEqual([again?.['inserted'], again?.['ignored']], [0, entries.length]);
  }
  for (const bad of BAD_PUSHES) {
    const { code, lines } = await push('--bad', bad, ...cell.entriesFile(entriesOf('bad')));
    assert.equal(code, 1, bad);
    assert.equal(find(lines, 'pushed'), undefined, bad);
  }
  const [deleted, ...kept] = stored;
  assert.ok(deleted);
  const [among] = entriesOf('among');
  assert.ok(among);
  const files = [...cell.entriesFile([among]), ...deletionsFile(cell, deleted)];
  const { lines, code, stderr } = await push('--bad', 'items', ...files);
  assert.equal(code, 0, stderr);
  const pushed = find(lines, 'pushed');
  assert.deepEqual([pushed?.['inserted'], pushed?.['deletion_deleted']], [1, 1]);
  assert.deepEqual(device.entries(), sorted([...kept, among]));
  await serving.stop();
}

/** Our peer pushes to the program in both versions. In the second one, the program answers badly at first. */
export async function takesPushes(cell: Cell): Promise<void> {
  const { relay } = cell.network;
  const device = cell.device(relay);
  const own = entriesOf(device.name);
  const [deleted, ...entries] = own;
  assert.ok(deleted);
  // Rows of other devices are never pushed.
  device.insert([...own, ...entriesOf('another')]);
  const { code, stderr } = await device.run('delete', deleted.entry_id);
  assert.equal(code, 0, stderr);
  for (const [version, answers] of [
    ['1.0.0', 'nulls'],
    ['1.0.1', [...BAD_ANSWERS, 'bare'].join(',')],
  ] as const) {
    const serving = await cell.serve(relay, ['--answer', answers, '--version', version]);
    const address = `${relay.address}/p2p-circuit/p2p/${serving.peerId}`;
    await pushUntilDone(device, address);
    const took = serving.logged('took');
    assert.equal(took[0]?.['protocol'], `/rustory/entries-push/${version}`);
    assert.ok(took.length >= answers.split(',').length);
    const taken = serving.logged('entry').map((line) => line['entry'] as Entry);
    const unique = new Map(taken.map((entry) => [entry.entry_id, entry]));
    assert.deepEqual(sorted([...unique.values()]), sorted(entries));
    const deletions = serving.logged('deletion').map((line) => line['deletion'] as { entry_id: string });
    assert.deepEqual([...new Set(deletions.map((deletion) => deletion.entry_id))], [deleted.entry_id]);
    if (version === '1.0.0') continue;
    // What was acknowledged is not pushed again.
    await run(device, address);
    assert.equal(serving.logged('took').length, took.length);
  }
}

/** Rounds of our peer until one has no error. The first ones get bad answers, and nothing is acknowledged by them. */
async function pushUntilDone(device: Device, address: string): Promise<void> {
  let last = '';
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const { code, stdout, stderr } = await run(device, address);
    last = `${stdout}${stderr}`;
    if (code === 0) return;
    await sleep(ROUND_PAUSE_MS);
  }
  assert.fail(`The pushes never succeeded: ${last}`);
}

async function run(device: Device, address: string) {
  return device.run('sync', '--push', '--json', '--peers', address);
}

function entriesOf(device: string): Entry[] {
  return trickyEntries(device).map((entry) => Object.assign(entry, { user_id: USER }));
}

function deletionsFile(cell: Cell, { entry_id, device_id, user_id }: Entry): string[] {
  const path = join(cell.folder(), 'deletions.json');
  writeFileSync(path, JSON.stringify([{ entry_id, user_id, device_id, deleted_at: 1_790_000_000 }]));
  return ['--deletions', path];
}

function sorted(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((a, b) => (a.entry_id < b.entry_id ? -1 : 1));
}
