import { expect, test } from '@jest/globals';
import { makeEntries } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { toWire } from '../history/entry.ts';
import { createByteBudget } from './byte-budget.ts';
import { createLatePushes } from './late-pushes.ts';
import { createPeerLocks } from './peer-locks.ts';
import { encodePushRequest } from './push-protocol.ts';
import { createRecord, workOn } from './push-work.ts';
import type { PushWriter } from './push-writer.ts';
import { createSemaphore } from './semaphore.ts';

const PROTOCOL = '/rustory/entries-push/1.0.1';
const never = new AbortController().signal;

/** A push of a megabyte of entries, which has a few kilobytes on the wire. */
async function encode(): Promise<Uint8Array> {
  const entries = makeEntries(10, 'laptop', 100_000).map((entry) => JSON.stringify(toWire(entry)));
  return encodePushRequest(PROTOCOL, { entries, deletions: undefined });
}

/** The work on pushes of a device with little memory, whose disk stores when `disk` resolves. */
function start() {
  const disk = Promise.withResolvers<{ ok: true }>();
  const writes = { count: 0 };
  const writer: PushWriter = {
    write: async () => {
      writes.count += 1;
      return disk.promise;
    },
    isLocked: () => false,
    stop() {},
  };
  const limits = { maxPermits: 4, maxPermitsPerPeer: 4, maxQueued: 0, queueTimeoutMs: 0 };
  const deps = {
    membership: { confirm: async () => ({ ok: false, reason: 'no tracker answered in time' }) as const },
    userId: 'ada',
    locks: createPeerLocks(),
    late: createLatePushes(),
    turns: createSemaphore(limits),
    decoded: createByteBudget(100_000),
    writer,
  };
  const work = async (peer: string, message: Uint8Array, deadline = never) =>
    workOn(createRecord(peer), deps, { protocol: PROTOCOL, message, deadline, signal: never });
  return { disk, writes, work };
}

test('a push that decompresses to more than the memory waits for the one before it until its answer is due', async () => {
  const { disk, writes, work } = start();
  const message = await encode();
  expect(message.length).toBeLessThan(10_000);
  const first = work('a', message);
  await until(() => writes.count === 1, 'the first push is written');
  expect(await work('b', message, AbortSignal.timeout(100))).toBe('too_many');
  expect(writes.count).toBe(1);
  disk.resolve({ ok: true });
  expect(await first).toBe('stored');
  expect(await work('b', message)).toBe('stored');
});

test('a push that was stored after its answer is acknowledged without more work when it is repeated', async () => {
  const { disk, writes, work } = start();
  const message = await encode();
  const due = new AbortController();
  const late = work('a', message, due.signal);
  await until(() => writes.count === 1, 'the push is written');
  due.abort();
  disk.resolve({ ok: true });
  expect(await late).toBe('stored');
  const before = writes.count;
  expect(await work('a', message)).toBe('stored');
  expect(writes.count).toBe(before);
  // What one device has pushed says nothing about another one.
  expect(await work('b', message)).toBe('stored');
  expect(writes.count).toBeGreaterThan(before);
});

test('the latest 1,024 pushes that were stored after their answer are remembered', () => {
  const late = createLatePushes();
  const summary = { entries: 1, deletions: 0, invalid: { entries: 0, deletions: 0, text: undefined } };
  for (let n = 0; n <= 1_024; n += 1) late.add('a', Buffer.from(`push ${n}`), summary);
  expect(late.find('a', Buffer.from('push 0'))).toBeUndefined();
  expect(late.find('a', Buffer.from('push 1'))).toEqual(summary);
  expect(late.find('a', Buffer.from('push 1024'))).toEqual(summary);
  expect(late.find('b', Buffer.from('push 1024'))).toBeUndefined();
});
