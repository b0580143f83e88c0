// Implementations with each other, through our relay.
import assert from 'node:assert/strict';
import { type By, type Cell, trickyEntries } from './cell.ts';
import { type Program, PROGRAMS } from './programs.ts';
import { find, reach, sendBulk } from './steps.ts';

const BULK_BYTES = 16 * 1024 * 1024;

export interface Across {
  readonly name: string;
  readonly dialler: Program;
  run(cell: Cell): Promise<void>;
}

export const ACROSS: readonly Across[] = PROGRAMS.flatMap((dialler) =>
  (['yamux', 'mplex'] as const).map((muxer) => ({
    name: `${dialler.name} ${muxer}`,
    dialler,
    run: async (cell: Cell) => exchange(cell, { program: dialler, muxer }),
  })),
);

async function exchange(cell: Cell, by: By): Promise<void> {
  const { relay } = cell.grid;
  const entries = trickyEntries(cell.program.name);
  const serving = await cell.serve(relay, cell.entriesFile(entries));
  await reach(cell, relay, serving, by);
  await sendBulk(cell, serving, BULK_BYTES, by);
  const { lines, code, stderr } = await cell.run(relay, ['pull', '--peer', serving.peerId], by);
  assert.equal(code, 0, stderr);
  const pulled = lines.filter(({ msg }) => msg === 'entry').map((line) => line['entry']);
  assert.deepEqual(pulled, entries);
  assert.equal(find(lines, 'pulled')?.['protocol'], '/rustory/sync-pull/1.0.1');
}
