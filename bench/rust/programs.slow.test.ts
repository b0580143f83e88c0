// Tests what the benchmarks do on a machine without the Rust toolchain.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { firstUnavailable, unavailableRr, unavailableRust } from './programs.ts';

const path = process.env['PATH'];

const met = async (): Promise<undefined> => undefined;

beforeEach(() => {
  process.env['PATH'] = '/nowhere';
});

afterEach(() => {
  process.env['PATH'] = path;
});

test.each([
  ['rust-libp2p', unavailableRust],
  ['rr', unavailableRr],
])('without cargo, the rows of %s are skipped with one sentence and no exception', async (_, unavailable) => {
  expect(await unavailable()).toBe(
    'This requires the Rust toolchain, and "cargo version" does not work on this machine.',
  );
});

test('a row with several needs is skipped with the first that is not met', async () => {
  expect(await firstUnavailable(met, async () => 'No build.', unavailableRust)()).toBe('No build.');
  expect(await firstUnavailable(met, met)()).toBeUndefined();
});
