import { describe, expect, test } from '@jest/globals';
import { createListingCache } from './listing-cache.ts';
import type { ListedPeer } from './registry/registry.ts';

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
