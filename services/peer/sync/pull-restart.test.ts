// The starts from 0 of a pull: at most one an hour, whatever happens to clocks, answers and other processes.
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { clock, HOUR, idsOf, pullOnce, rows, startPair } from '../../../testing/scripted-pull.ts';
import { createPullPosition } from './pull-position.ts';

afterEach(cleanUp);

test('a start from 0 waits for an hour at most, also after the clock was set back by years', async () => {
  const { client, peer } = await startPair();
  const start = clock.unixSeconds;
  const restart = async (name: string) => {
    peer.rows = rows(name, 1, 10);
    const { hasNewDatabase, error } = await pullOnce(client, peer);
    return [hasNewDatabase, error?.includes('identity key copied')];
  };
  await restart('a');
  clock.unixSeconds = start + 100_000 * HOUR;
  expect(await restart('b')).toEqual([true, undefined]);
  clock.unixSeconds = start;
  expect(await restart('c')).toEqual([false, true]);
  clock.unixSeconds = start + HOUR;
  expect(await restart('c')).toEqual([true, undefined]);
  expect(idsOf(client)).toContain('c-9');
});

test('of two processes that find another history one starts from 0, and the other continues there', async () => {
  const { client, peer } = await startPair();
  peer.rows = rows('a', 1, 10);
  await pullOnce(client, peer);
  const late = createPullPosition(client.store, peer.peerId, () => clock.unixSeconds);
  late.request(100);
  peer.rows = rows('new', 1, 5);
  expect(await pullOnce(client, peer)).toMatchObject({ hasNewDatabase: true, entries: 5 });
  const another = { entries: [], deletions: [], invalid: [], ids: ['new-3'], nextCursor: 9 };
  expect(late.store({ ...another, nextDeleteCursor: undefined })).toMatchObject({
    isRestarted: false,
    hasMore: true,
  });
  expect(late.request(100)).toMatchObject({ cursor: 4 });
});

test('a second start from 0 within an hour is held back also after a request without an answer', async () => {
  const { client, peer } = await startPair();
  peer.rows = rows('a', 1, 10);
  await pullOnce(client, peer);
  peer.rows = rows('b', 1, 10);
  expect(await pullOnce(client, peer)).toMatchObject({ hasNewDatabase: true, error: undefined });
  peer.answersLeft = 0;
  expect((await pullOnce(client, peer)).error).toBeDefined();
  peer.answersLeft = Infinity;
  await pullOnce(client, peer);
  peer.rows = rows('a', 1, 10);
  expect(await pullOnce(client, peer)).toMatchObject({
    hasNewDatabase: false,
    error: expect.stringContaining('is its identity key copied'),
  });
  clock.unixSeconds += HOUR;
  expect(await pullOnce(client, peer)).toMatchObject({ hasNewDatabase: true, error: undefined });
  clock.unixSeconds += HOUR;
});
