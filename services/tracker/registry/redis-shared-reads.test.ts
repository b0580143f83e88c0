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

/** Keeps the peers whose records are there. */
function createPages(maxLength?: number) {
  const known = createKnownListings(maxLength);
  const decoded: (string | null)[][] = [];
  const page = (key: string, ids: string[], records: string[], digest = 'd') =>
    known.page(key, known.recall(key), [digest, ids, records], (entries, found, decode) => {
      decoded.push(found);
      return entries.flatMap((entry, index) => {
        const record = found[index];
        return typeof record === 'string' ? [decode(entry, record)] : [];
      });
    });
  return { known, page, decoded };
}

function fail(): never {
  throw new Error('decoded');
}

describe('known listings', () => {
  const P = '=ada\0{"peer_id":"p"}';
  const Q = '\0{"peer_id":"q"}';

  test('decode records in pieces, missing ones, those of a hub and those without a user', () => {
    const { known, page, decoded } = createPages();
    const { peers } = page('a', ['p 3 gone 2', 'q 1 h 0'], [`${P}\0\0`, `${Q}\0=ada\0 {"peer_id":"h"}`]);
    expect(decoded).toEqual([[P, null, Q, '=ada\0 {"peer_id":"h"}']]);
    expect(peers).toEqual([
      { peerId: 'p', seenUnixMicros: 3, userId: 'ada', json: '{"peer_id":"p"}', isHub: false },
      { peerId: 'q', seenUnixMicros: 1, userId: null, json: '{"peer_id":"q"}', isHub: false },
      { peerId: 'h', seenUnixMicros: 0, userId: 'ada', json: '{"peer_id":"h"}', isHub: true },
    ]);
    // While records are missing, Redis sends the listing each time.
    expect(known.recall('a')).toBeUndefined();
    expect(page('b', [], []).peers).toEqual([]);
  });

  test('are the same page when Redis does not send them, also when they were dropped meanwhile', () => {
    const { known, page } = createPages();
    const first = page('a', ['p 3 q 1'], [`${P}\0${Q}`]);
    const last = known.recall('a');
    expect(last?.digest).toBe('d');
    expect(known.page('a', last, 'd', fail)).toBe(first);
    const gone = createKnownListings();
    expect(gone.page('a', last, 'd', fail)).toBe(first);
    expect(gone.recall('a')).toBe(last);
  });

  test('have the same content while only times and the order differ', () => {
    const { page } = createPages();
    const first = page('a', ['p 3 q 1'], [`${P}\0${Q}`]);
    const later = page('a', ['q 4 p 3'], [`${Q}\0${P}`]);
    expect(later.content).toBe(first.content);
    expect(later.peers.map(({ peerId, seenUnixMicros }) => [peerId, seenUnixMicros])).toEqual([
      ['q', 4],
      ['p', 3],
    ]);
    const contents = [
      page('a', ['q 4'], [Q]),
      page('a', ['q 4 p 3'], [`${Q}\0${P}`]),
      page('a', ['q 5 p 3'], [`${Q}\0=bob\0{"peer_id":"p"}`]),
      page('a', ['q 5 p 3'], [`${Q}\0=bob\0{"peer_id":"p","x":1}`]),
    ].map(({ content }) => content);
    expect(new Set([first.content, ...contents]).size).toBe(5);
  });

  test('are bounded', () => {
    const { known, page } = createPages(1_500);
    for (const key of ['a', 'b', 'c']) page(key, ['p 1'], [P]);
    expect(['a', 'b', 'c'].map((key) => known.recall(key) !== undefined)).toEqual([false, true, true]);
    page('d', ['p 1'], [`=ada\0{"x":"${'x'.repeat(2_000)}"}`]);
    expect(['b', 'c', 'd'].map((key) => known.recall(key))).toEqual([undefined, undefined, undefined]);
  });
});
