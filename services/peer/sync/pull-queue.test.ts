import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestPullDeps, makeEntries, startDevice } from '../../../testing/peer.ts';
import { startPullServer, writeJson } from '../../../testing/pull-server.ts';
import { toWire } from '../history/entry.ts';
import { pullAll } from './pull-queue.ts';
import { createRoundBudget, SYNC_LIMITS } from './round-budget.ts';

afterEach(cleanUp);

const LIMIT = 100;

/** The times of the pulls, which the test ends. */
function createSlots() {
  const slots: AbortController[] = [];
  return {
    start(): AbortSignal {
      const slot = new AbortController();
      slots.push(slot);
      return slot.signal;
    },
    endAll: () => slots.forEach((slot) => slot.abort(new Error('The time has ended.'))),
  };
}

/** A peer with this number of entries that stops to answer after its first page, the first time. */
async function startSlowServer(name: string, entries: number, onStop: () => void) {
  const history = makeEntries(entries, name);
  let hasStopped = false;
  const { target } = await startPullServer(async (stream, { cursor, limit }) => {
    if (cursor > 0 && !hasStopped) {
      hasStopped = true;
      onStop();
      return;
    }
    const page = history.slice(cursor, cursor + limit).map(toWire);
    await writeJson(stream, { entries: page, next_cursor: page.length === 0 ? null : cursor + page.length });
  });
  return target;
}

/** A budget that is never used up in a test. */
const createTestBudget = () => createRoundBudget(SYNC_LIMITS, () => 0);

const withoutEnd = () => new AbortController().signal;

describe('the time for one peer', () => {
  test('ends with what was stored, and the other peers are next; then the history is completed', async () => {
    const client = await startDevice();
    const slots = createSlots();
    let stopped = 0;
    // The time of all four ends when each of them has sent its first page.
    const onStop = (): void => {
      stopped += 1;
      if (stopped === 4) slots.endAll();
    };
    const large = await Promise.all(
      Array.from({ length: 4 }, async (_, index) => startSlowServer(`large-${index}`, 250, onStop)),
    );
    const { target: small } = await startPullServer(async (stream, { cursor }) =>
      writeJson(stream, { entries: makeEntries(1, 'small').map(toWire).slice(cursor), next_cursor: 1 }),
    );
    const order: string[] = [];
    const progress: number[] = [];
    const { reports } = await pullAll(
      { first: [...large, small], others: [] },
      { ...createTestPullDeps(client), startSlot: slots.start },
      {
        limit: LIMIT,
        budget: createTestBudget(),
        untilComplete: true,
        signal: withoutEnd(),
        onReport: ({ peerId }) => order.push(peerId),
        onProgress: ({ entries }) => progress.push(entries),
      },
    );
    expect(order[0]).toBe(small.peerId);
    expect(reports.map(({ entries, error, isUnfinished }) => ({ entries, error, isUnfinished }))).toEqual(
      [1, 250, 250, 250, 250].map((entries) => ({ entries, error: undefined, isUnfinished: false })),
    );
    expect(client.store.summary().entries).toBe(1_001);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  test('ends in a watch with a report that is no failure, and the next round continues', async () => {
    const client = await startDevice();
    const slots = createSlots();
    const target = await startSlowServer('large', 250, slots.endAll);
    const deps = { ...createTestPullDeps(client), startSlot: slots.start };
    const options = { limit: LIMIT, budget: createTestBudget(), signal: withoutEnd() };
    const plan = { first: [target], others: [] };
    expect((await pullAll(plan, deps, options)).reports).toEqual([
      expect.objectContaining({ entries: 100, error: undefined, isUnfinished: true, nextCursor: 100 }),
    ]);
    expect((await pullAll(plan, deps, options)).reports).toEqual([
      expect.objectContaining({ entries: 150, error: undefined, isUnfinished: false }),
    ]);
  });

  test('ends with a failure when the peer sent nothing', async () => {
    const client = await startDevice();
    const slots = createSlots();
    const { target } = await startPullServer(async () => slots.endAll());
    const { reports } = await pullAll(
      { first: [target], others: [] },
      { ...createTestPullDeps(client), startSlot: slots.start },
      { limit: LIMIT, budget: createTestBudget(), untilComplete: true, signal: withoutEnd() },
    );
    expect(reports[0]).toMatchObject({
      isUnfinished: false,
      entries: 0,
      error: expect.stringContaining('30 s'),
    });
  });
});
