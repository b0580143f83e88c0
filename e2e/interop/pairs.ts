// The table of pairs: two implementations exchange data through our relay.
import assert from 'node:assert/strict';
import { type Cell, type Serving, trickyEntries, type Variant } from './cell.ts';
import { type Program, PROGRAMS } from './programs.ts';
import { find, reach, sendBulk } from './steps.ts';

const BULK_BYTES = 16 * 1024 * 1024;

export interface Pair {
  readonly name: string;
  readonly dialer: Program;
  run(cell: Cell): Promise<void>;
}

export const PAIRS: readonly Pair[] = PROGRAMS.flatMap((dialer) =>
  (['yamux', 'mplex'] as const).map((muxer) => ({
    name: `${dialer.name} ${muxer}`,
    dialer,
    run: async (cell: Cell) => exchange(cell, { program: dialer, muxer }),
  })),
);

/** Dials the serving program, sends bulk data, pulls all entries, and pushes others. */
async function exchange(cell: Cell, variant: Variant): Promise<void> {
  const { relay } = cell.network;
  const entries = trickyEntries(cell.program.name);
  const serving = await cell.serve(relay, cell.entriesFile(entries));
  await reach(cell, relay, serving, variant);
  await sendBulk(cell, relay, serving, BULK_BYTES, variant);
  const { lines, code, stderr } = await cell.run(relay, ['pull', '--peer', serving.peerId], variant);
  assert.equal(code, 0, stderr);
  const pulled = lines.filter(({ msg }) => msg === 'entry').map((line) => line['entry']);
  assert.deepEqual(pulled, entries);
  assert.equal(find(lines, 'pulled')?.['protocol'], '/rustory/sync-pull/1.0.1');
  await push(cell, serving, variant);
}

async function push(cell: Cell, serving: Serving, variant: Variant): Promise<void> {
  const entries = trickyEntries('pushed');
  const args = ['push', '--peer', serving.peerId, '--limit', '20', ...cell.entriesFile(entries)];
  const { lines, code, stderr } = await cell.run(cell.network.relay, args, variant);
  assert.equal(code, 0, stderr);
  assert.equal(find(lines, 'pushed')?.['inserted'], entries.length);
  assert.equal(find(lines, 'pushed')?.['protocol'], '/rustory/entries-push/1.0.1');
  const taken = serving.logged('entry').map((line) => line['entry']);
  assert.deepEqual(taken, entries);
}
