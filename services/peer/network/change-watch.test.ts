import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createChangeWatch, type ChangeWatch } from './change-watch.ts';

let addresses: string[];
let clock: { ms: number; unixMs: number };
let changes: number;
let watch: ChangeWatch;

beforeEach(() => {
  addresses = ['/ip4/10.0.0.1/tcp/1'];
  clock = { ms: 0, unixMs: 1_700_000_000_000 };
  changes = 0;
  watch = createChangeWatch({
    addresses: () => addresses,
    onChange: () => (changes += 1),
    nowMs: () => clock.ms,
    nowUnixMs: () => clock.unixMs,
  });
  watch.start();
  onCleanup(() => watch.stop());
});

afterEach(cleanUp);

function pass(milliseconds: number, unixMilliseconds = milliseconds): void {
  clock.ms += milliseconds;
  clock.unixMs += unixMilliseconds;
  watch.check();
}

test('a change of the addresses is reported once', () => {
  pass(1_000);
  expect(changes).toBe(0);
  addresses = [];
  pass(1_000);
  pass(1_000);
  expect(changes).toBe(1);
});

test('a suspension of the machine is reported once, unlike a busy machine or a clock that is set back', () => {
  pass(60_000);
  pass(1_000, -3_600_000);
  expect(changes).toBe(0);
  pass(1_000, 3_600_000);
  pass(1_000);
  expect(changes).toBe(1);
});
