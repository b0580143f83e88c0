// Tests of the pages of a listing; part of the suite of every registry.
import { expect, test } from '@jest/globals';
import { device } from '../../../testing/tracker-registrations.ts';
import type { Page, Registry } from './registry.ts';

/** @param subject the registry and a replica of it */
export function testPages(subject: () => { readonly registry: Registry; readonly replica: Registry }): void {
  test.each([undefined, 'alice'])(
    'lists the same peers in pages as in one listing (user %s)',
    async (userId) => {
      const { registry } = subject();
      await Promise.all(Array.from({ length: 95 }, async (_, n) => registry.register(device(`p${n}`))));
      await Promise.all(
        Array.from({ length: 5 }, async (_, n) => registry.register(device(`other${n}`, 'bob'))),
      );
      const pages: string[] = [];
      let page: Page | undefined;
      do {
        page = await registry.list({ userId, limit: 10, after: page?.next });
        expect(page.peers.length).toBeLessThanOrEqual(10);
        pages.push(...page.peers.map(({ peerId }) => peerId));
      } while (page.next !== undefined);
      expect(pages).toEqual((await registry.list({ userId })).peers.map(({ peerId }) => peerId).toSorted());
    },
  );

  test('shows a device that registers again between two pages once, and misses none', async () => {
    const { registry, replica } = subject();
    const all = Array.from({ length: 30 }, (_, n) => `p${10 + n}`);
    for (const id of all) await registry.register(device(id));
    const pages: string[] = [];
    let page: Page | undefined;
    do {
      page = await replica.list({ userId: 'alice', limit: 7, after: page?.next });
      pages.push(...page.peers.map(({ peerId }) => peerId));
      // All devices register in turn, as they do twice a minute.
      for (const id of all.toReversed()) await registry.register(device(id));
    } while (page.next !== undefined);
    expect(pages).toEqual(all);
  });
}
