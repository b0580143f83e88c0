import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, readEntries } from '../../../testing/peer.ts';
import { monotonicMs } from '../../shared/clock.ts';
import { openDatabase } from '../history/database.ts';
import { createStore } from '../history/store.ts';
import { addStored, createPushWriter, NOTHING_STORED, type StoredCounts } from './push-writer.ts';

afterEach(cleanUp);

const never = new AbortController().signal;

function start(nowMs: () => number = monotonicMs) {
  const path = join(makeDirectory(), 'history.db');
  const database = openDatabase(path, () => 0, { isDurable: true });
  onCleanup(() => database.close());
  const store = createStore(database);
  let transactions = 0;
  const writer = createPushWriter({
    store: {
      storePushed(work) {
        transactions += 1;
        return store.storePushed(work);
      },
    },
    nowMs,
  });
  const write = async (device: string, count: number, signals = {}) => {
    let counts: StoredCounts = NOTHING_STORED;
    const result = await writer.write(
      { kind: 'entries', items: makeEntries(count, device) },
      {
        signal: never,
        lockSignal: never,
        onStored: (more) => void (counts = addStored(counts, more)),
        ...signals,
      },
    );
    return { ...result, inserted: counts.inserted };
  };
  return { path, writer, write, store, transactions: () => transactions };
}

describe('the writer of pushes', () => {
  test('stores the pushes of many devices in few transactions', async () => {
    const { write, store, transactions } = start(() => 0);
    const devices = Array.from({ length: 100 }, (_, index) => `device-${index}`);
    const results = await Promise.all(devices.map(async (device) => write(device, 5)));
    expect(results).toEqual(devices.map(() => ({ ok: true, inserted: 5 })));
    expect(readEntries(store)).toHaveLength(500);
    // The first push begins at once; the others come while it is written.
    expect(transactions()).toBeLessThanOrEqual(2);
  });

  test('lets a small push go before the rest of a large one', async () => {
    // Each look at the clock takes 1 ms, so that a transaction has few items.
    let now = 0;
    const { write } = start(() => (now += 1));
    const order: string[] = [];
    await Promise.all([
      write('large', 2_000).then(() => order.push('large')),
      write('small', 5).then(() => order.push('small')),
    ]);
    expect(order).toEqual(['small', 'large']);
  });

  test('keeps what it stored of a push that is given up', async () => {
    let now = 0;
    const controller = new AbortController();
    const { write, store } = start(() => ((now += 1) > 500 ? (controller.abort(), now) : now));
    const { ok, inserted } = await write('large', 2_000, { signal: controller.signal });
    expect(ok).toBe(false);
    expect(inserted).toBeGreaterThan(0);
    expect(readEntries(store)).toHaveLength(inserted);
  });

  test('gives up what waits for another process when its time ends', async () => {
    const { write, path } = start();
    const other = openDatabase(path);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const lockSignal = AbortSignal.timeout(50);
    expect(await write('a', 1, { lockSignal })).toEqual({ ok: false, reason: 'locked', inserted: 0 });
    const waiting = write('b', 1);
    other.sqlite.exec('ROLLBACK');
    expect(await waiting).toEqual({ ok: true, inserted: 1 });
  });

  test('ends all writes when it stops', async () => {
    const { write, writer, path } = start();
    const other = openDatabase(path);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    const waiting = write('a', 1);
    writer.stop();
    expect(await waiting).toMatchObject({ ok: false, reason: 'stopping' });
    expect(await write('b', 1)).toMatchObject({ ok: false, reason: 'stopping' });
  });
});
