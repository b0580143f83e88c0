import { describe, expect, test } from '@jest/globals';
import type { Result } from '../../shared/result.ts';
import { createSemaphore, type Permit, type PermitRefusal } from './semaphore.ts';

const never = new AbortController().signal;
const limits = { maxPermits: 2, maxPermitsPerPeer: 2, maxQueued: 2, queueTimeoutMs: 60_000 };

function release(permit: Result<Permit, PermitRefusal>): void {
  if (!permit.ok) throw new Error(`There is no permit to release: ${permit.reason}.`);
  permit.release();
}

describe('a semaphore', () => {
  test('queues requests above the limit and serves them in order', async () => {
    const semaphore = createSemaphore(limits);
    const first = await semaphore.acquire('a', never);
    await semaphore.acquire('b', never);
    const order: string[] = [];
    const third = semaphore.acquire('c', never).then((permit) => (order.push('c'), permit));
    const fourth = semaphore.acquire('d', never).then((permit) => (order.push('d'), permit));
    release(first);
    release(await third);
    expect((await fourth).ok).toBe(true);
    expect(order).toEqual(['c', 'd']);
  });

  test('refuses a request when the queue is full, and grants one after permits were released', async () => {
    const semaphore = createSemaphore({ ...limits, maxPermits: 1, maxQueued: 1 });
    const first = await semaphore.acquire('a', never);
    const second = semaphore.acquire('b', never);
    expect(await semaphore.acquire('c', never)).toEqual({ ok: false, reason: 'too many requests' });
    release(first);
    release(await second);
    release(await semaphore.acquire('c', never));
  });

  test('counts the queued requests of a peer towards its limit', async () => {
    const semaphore = createSemaphore({ ...limits, maxPermits: 1, maxPermitsPerPeer: 2 });
    const first = await semaphore.acquire('a', never);
    const second = semaphore.acquire('a', never);
    expect(await semaphore.acquire('a', never)).toEqual({
      ok: false,
      reason: 'too many requests of this peer',
    });
    release(first);
    release(await second);
    release(await semaphore.acquire('a', never));
  });

  test('refuses a queued request at the timeout or at the abort, and removes it from the queue', async () => {
    const semaphore = createSemaphore({ ...limits, maxPermits: 1, maxPermitsPerPeer: 1, queueTimeoutMs: 20 });
    const first = await semaphore.acquire('a', never);
    expect(await semaphore.acquire('b', never)).toEqual({ ok: false, reason: 'no permit in time' });
    expect(await semaphore.acquire('b', AbortSignal.abort())).toEqual({
      ok: false,
      reason: 'no permit in time',
    });
    release(first);
    release(await semaphore.acquire('b', never));
    release(await semaphore.acquire('a', never));
  });
});
