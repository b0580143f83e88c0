import { describe, expect, test } from '@jest/globals';
import { createRandom } from '../../testing/random.ts';
import { createListingCache } from './listing-cache.ts';
import type { ListedPeer } from './registry/registry.ts';

/** A time in microseconds. */
const SOME_DAY_MICROS = 1_790_000_000_000_000;

function peers(count: number, seenUnixMicros = 1, letter = 'y'): ListedPeer[] {
  return Array.from({ length: count }, (_, index) => ({
    peerId: `p${index}`,
    seenUnixMicros: seenUnixMicros + index,
    json: JSON.stringify({
      peer_id: `p${index}`,
      addrs: [`/ip6/::1/tcp/${index + 1}`],
      meta: { x: letter.repeat(200) },
    }),
  }));
}

describe('the listing cache', () => {
  test('shares one body for one version of a listing in one view', () => {
    const cache = createListingCache();
    const first = cache.listing({ peers: peers(100) }, { userId: 'a' }, false);
    expect(cache.listing({ peers: peers(100) }, { userId: 'a' }, false).body).toBe(first.body);
    expect(first.body).toBeInstanceOf(Buffer);
  });

  test.each([
    ['another time of a registration', { peers: peers(100, 2) }, { userId: 'a' }, false],
    ['a device less', { peers: peers(99) }, { userId: 'a' }, false],
    ['another order', { peers: peers(100).toReversed() }, { userId: 'a' }, false],
    ['another record', { peers: peers(100, 1, 'z') }, { userId: 'a' }, false],
    ['another user', { peers: peers(100) }, { userId: 'b' }, false],
    ['all users', { peers: peers(100) }, {}, false],
    ['a page', { peers: peers(100), next: 'p99' }, { userId: 'a', limit: 100 }, false],
    ['a client on the same machine', { peers: peers(100) }, { userId: 'a' }, true],
  ])('makes another body for %s', (_, page, query, isLocal) => {
    const cache = createListingCache();
    const first = cache.listing({ peers: peers(100) }, { userId: 'a' }, false);
    const other = cache.listing(page, query, isLocal);
    expect(String(other.body)).not.toBe('');
    expect(other.body).not.toBe(first.body);
    expect(JSON.parse(String(other.body))).toMatchObject({
      peers: page.peers.map(({ peerId }) => ({ peer_id: peerId })),
    });
    expect(String(other.body).includes('/ip6/::1/')).toBe(isLocal);
  });

  test.each([true, false])(
    'makes each version with the bytes and the tag as if it was the first (client on the same machine: %s)',
    (isLocal) => {
      const random = createRandom(20_261_128);
      const cache = createListingCache();
      let devices = peers(60);
      for (let round = 0; round < 300; round += 1) {
        // Mostly heartbeats, and sometimes devices that are new, leave, change, or a clock that was set back.
        for (let n = Math.floor(random() * 4); n >= 0; n -= 1) {
          const [moved] = devices.splice(Math.floor(random() * devices.length), 1);
          const kind = random();
          const isNew = kind < 0.1;
          const letter = kind < 0.2 ? 'é' : 'z';
          const [other] = peers(1, 1, letter.repeat(1 + (round % 5)));
          const json = isNew ? other?.json.replaceAll('p0', `n${round}`) : other?.json;
          const record = kind < 0.3 ? { peerId: `n${round}-${n}`, json: json ?? '' } : moved;
          const seenUnixMicros = SOME_DAY_MICROS + (random() < 0.9 ? 1_000_000 : 10) + round;
          if (record !== undefined && kind < 0.95) devices.unshift({ ...record, seenUnixMicros });
        }
        if (round % 50 === 49) devices = devices.toReversed();
        if (round % 60 === 59) devices = [...devices, ...peers(5, round, 'w')];
        const page = { peers: [...devices] };
        const made = cache.listing(page, { userId: 'a' }, isLocal);
        const anew = createListingCache().listing({ peers: devices }, { userId: 'a' }, isLocal);
        expect([round, String(made.body), made.tag]).toEqual([round, String(anew.body), anew.tag]);
        expect(JSON.parse(String(made.body))).toHaveProperty('peers.length', devices.length);
      }
    },
  );

  test('leaves out the same devices of a listing that has grown to its maximum as if it was the first', () => {
    const cache = createListingCache();
    for (let count = 1_500; count < 1_700; count += 10) {
      const made = cache.listing({ peers: peers(count, SOME_DAY_MICROS) }, { userId: 'a' }, false);
      const anew = createListingCache().listing(
        { peers: peers(count, SOME_DAY_MICROS) },
        { userId: 'a' },
        false,
      );
      expect([count, made.omitted, made.tag]).toEqual([count, anew.omitted, anew.tag]);
      expect(made.body.length).toBe(anew.body.length);
    }
    expect(
      cache.listing({ peers: peers(1_700, SOME_DAY_MICROS) }, { userId: 'a' }, false).omitted,
    ).toBeGreaterThan(0);
  });

  test('is bounded in bytes, also with ever new users and lists that are longer than what is sent', () => {
    const cache = createListingCache(200_000);
    for (let n = 0; n < 50; n += 1) cache.listing({ peers: peers(100) }, { userId: `user${n}` }, false);
    expect(cache.bytes()).toBeGreaterThan(0);
    expect(cache.bytes()).toBeLessThanOrEqual(200_000);
    const long = cache.listing({ peers: peers(10_000) }, {}, false);
    expect(long.omitted).toBeGreaterThan(0);
    expect(cache.bytes()).toBeLessThanOrEqual(200_000);
  });

  test('does not keep short listings', () => {
    const cache = createListingCache();
    for (let n = 0; n < 1_000; n += 1) cache.listing({ peers: peers(3) }, { userId: `user${n}` }, false);
    expect(cache.bytes()).toBe(0);
  });
});
