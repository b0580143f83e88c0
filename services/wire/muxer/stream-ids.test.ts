import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { StreamIds } from './stream-ids.ts';

const MAX_SKIPPED_IDS = 1024;

test('an id is used once, also one of the last 1,024 that were left out, and none that is older', () => {
  const ids = fc.array(fc.oneof(fc.nat(40), fc.nat(3000), fc.nat(2 ** 31 - 1)), { maxLength: 60 });
  fc.assert(
    fc.property(ids, fc.constantFrom([0, 1], [1, 2], [2, 2]), (indexes, [first = 0, step = 1]) => {
      const used = new Set<number>();
      let highest = -1;
      const tested = new StreamIds(first, step);
      for (const index of indexes) {
        const isUsable = !used.has(index) && index > highest - MAX_SKIPPED_IDS;
        expect([index, tested.use(first + index * step)]).toEqual([index, isUsable]);
        used.add(index);
        highest = Math.max(highest, index);
      }
    }),
    { seed: 16, numRuns: 300 },
  );
});
