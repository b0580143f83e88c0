import { describe, expect, test } from '@jest/globals';
import { createKnownListings } from './redis-known-listings.ts';
import { createSharedReads } from './redis-shared-reads.ts';

/** Reads that the test ends, each with its number. */
function createReads() {
  const reads = createSharedReads<number>();
  const started: PromiseWithResolvers<number>[] = [];
  const read = (key: string): Promise<number> =>
    reads.read(key, () => {
      const run = Promise.withResolvers<number>();
      started.push(run);
      return run.promise;
    });
  return { read, started };
}

describe('shared reads', () => {
  test('give every caller a read that began after its call, and run one at a time', async () => {
    const { read, started } = createReads();
    const first = read('a');
    const [second, third] = [read('a'), read('a')];
    expect(started).toHaveLength(1);
    started[0]?.resolve(1);
    expect(await first).toBe(1);
    await Promise.resolve();
    expect(started).toHaveLength(2);
    const fourth = read('a');
    started[1]?.resolve(2);
    expect([await second, await third]).toEqual([2, 2]);
    await Promise.resolve();
    started[2]?.resolve(3);
    expect(await fourth).toBe(3);
    void read('a');
    expect(started).toHaveLength(4);
  });

  test('do not share reads of other things', () => {
    const { read, started } = createReads();
    void read('a');
    void read('b');
    expect(started).toHaveLength(2);
  });

  test('begin again after a read that failed', async () => {
    const { read, started } = createReads();
    const first = read('a');
    const second = read('a');
    started[0]?.reject(new Error('refused'));
    await expect(first).rejects.toThrow('refused');
    await Promise.resolve();
    started[1]?.resolve(2);
    expect(await second).toBe(2);
  });
});

describe('known listings', () => {
  const RECORDS = '=ada\0{"peer_id":"p"}\0\0\0\0{"peer_id":"q"}';

  test('are the same page while the reply is the same, and decode missing records and those without a user', () => {
    const known = createKnownListings();
    const decoded: unknown[] = [];
    const page = (ids: string, records: string) =>
      known.page('a', [ids, records], (entries, each) => {
        decoded.push(each);
        return { peers: entries.map((entry) => ({ ...entry, json: '' })) };
      });
    const first = page('p 3 gone 2 q 1', RECORDS);
    expect(decoded).toEqual([['=ada\0{"peer_id":"p"}', null, '\0{"peer_id":"q"}']]);
    expect(first.peers.map(({ peerId }) => peerId)).toEqual(['p', 'gone', 'q']);
    expect(page('p 3 gone 2 q 1', RECORDS)).toBe(first);
    expect(page('q 4 p 3 gone 2', RECORDS)).not.toBe(first);
    expect(page('', '').peers).toEqual([]);
  });

  test('are decoded again while records are missing, and are bounded', () => {
    const known = createKnownListings(100);
    let decoded = 0;
    const page = (key: string, peers: number): void => {
      known.page(key, ['p 1', 'x'.repeat(40)], () => {
        decoded += 1;
        return { peers: Array.from({ length: peers }, () => ({ peerId: 'p', json: '', seenUnixMicros: 1 })) };
      });
    };
    page('a', 0);
    page('a', 0);
    expect(decoded).toBe(2);
    for (const key of ['a', 'b', 'c', 'c', 'a']) page(key, 1);
    expect(decoded).toBe(6);
  });
});
