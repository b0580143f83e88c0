import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, readEntries } from '../../../testing/peer.ts';
import { createRandom } from '../../../testing/random.ts';
import { openDatabase } from '../history/database.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { checkEntry } from '../history/entry-rules.ts';
import { createStore, type Store } from '../history/store.ts';
import { createPageReader } from './page.ts';
import { decodeResponse, encodeResponse, MAX_LIMIT, PULL_PROTOCOLS } from './sync-protocol.ts';

afterEach(cleanUp);

/** Random entries of one run, and the seed to repeat it with. */
const ENTRIES = 600;
const SEED = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);

/** Random choices, which a seed repeats. */
function createChoices(seed: number) {
  const next = createRandom(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  return { next, below, pick: <T>(list: readonly T[]): T => list[below(list.length)] as T };
}

type Random = ReturnType<typeof createChoices>;

const ODD_TEXTS = [
  '',
  '\0',
  'a\0b',
  '\ud800',
  '\udc00\ud800',
  '\u{1F600}',
  'e\u0301',
  '\u202Etxt.exe',
  '\u009B31m\u001B]0;x\u0007',
  '\r\n\t',
  '\u2028\u2029\uFEFF\uFFFE\uFFFF',
  '"\\/\b\f',
  '\u{10FFFF}',
  '__proto__',
  '漢字',
];

function anyText(random: Random, max: number): unknown {
  const odd = random.pick(ODD_TEXTS);
  switch (random.below(12)) {
    case 0:
      return odd;
    case 1:
      return 'x'.repeat(max - 2 + random.below(4));
    case 2:
      return random.pick([null, 5, {}, [], true]);
    case 3:
      return `${odd} ${random.pick(ODD_TEXTS)} ${String.fromCharCode(random.below(65_536))}`;
    default:
      return `command ${random.below(1_000)}`;
  }
}

/** A command or a directory; sometimes a huge one, whose JSON is up to six times as large. */
function anyCommand(random: Random): unknown {
  if (random.below(60) > 0) return anyText(random, 100_000);
  return random.pick(['\u0001', '"', '漢', 'x', '\0']).repeat(random.below(4 * 1024 * 1024));
}

const ODD_NUMBERS = [
  0,
  -0,
  -1,
  0.5,
  Infinity,
  -1e21,
  Number.NaN,
  2 ** 31,
  -(2 ** 31),
  2 ** 53,
  -(2 ** 53),
  2 ** 53 - 1,
  '1',
  null,
  9_223_372_036_854_775_807n,
];

function anyNumber(random: Random, usual: number): unknown {
  return random.below(6) === 0 ? random.pick(ODD_NUMBERS) : random.below(usual);
}

function anyTime(random: Random): unknown {
  if (random.below(10) === 0) return random.pick([null, '2026', [], [2026], 1_700_000_000]);
  const odd = random.below(3) === 0;
  const part = (usual: number, odds: readonly unknown[]): unknown =>
    odd && random.below(4) === 0 ? random.pick(odds) : random.below(usual);
  const year = odd
    ? random.pick([-10_000, -9_999, -1, 0, 99, 9_999, 10_000, 2 ** 31])
    : 1970 + random.below(60);
  const offset = random.below(25) - 12;
  return [
    year,
    random.pick([1, 365, 366, 1 + random.below(365)]),
    part(24, [24, -1, 0.5]),
    part(60, [60, null]),
    part(60, [60, '0']),
    part(1_000_000_000, [-1, 1e10]),
    part(1, [25, -25, offset, offset, 26]),
    part(1, [59, -59, 30]),
    part(1, [59, -59]),
  ];
}

function anyWireEntry(random: Random, index: number): Record<string, unknown> {
  return {
    // Unique, unless it is odd.
    entry_id:
      random.below(8) === 0 ? anyText(random, 4096) : `entry-${index}-${random.pick(['', '\0', '漢'])}`,
    device_id: anyText(random, 4096),
    user_id: anyText(random, 4096),
    ts: anyTime(random),
    cmd: anyCommand(random),
    cwd: anyCommand(random),
    exit_code: anyNumber(random, 256),
    duration_ms: anyNumber(random, 1_000_000),
    shell: anyText(random, 4096),
    hostname: anyText(random, 4096),
    version: anyText(random, 4096),
  };
}

function openStore(): Store {
  const database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(async () => database.close());
  return createStore(database);
}

/** Sends everything that a store has to another store, with pages of random limits. */
async function transfer(from: Store, to: Store, protocol: string, random: Random): Promise<void> {
  const unsendable: unknown[] = [];
  const reader = createPageReader(from, (item) => unsendable.push(item));
  for (let [cursor, deleteCursor] = [0, 0]; ;) {
    const request = { cursor, deleteCursor, limit: 1 + random.below(MAX_LIMIT) };
    const message = await encodeResponse(protocol, await reader.read(request));
    const response = await decodeResponse(protocol, message, request);
    expect(response.invalid).toEqual([]);
    if (response.nextCursor === undefined && response.nextDeleteCursor === undefined) break;
    cursor = response.nextCursor ?? cursor;
    deleteCursor = response.nextDeleteCursor ?? deleteCursor;
    to.insertPage(response, { peerId: 'p', cursor, deleteCursor });
  }
  expect(unsendable).toEqual([]);
}

describe(`whatever is stored can be sent and read back (TEST_SEED=${SEED})`, () => {
  test.each(PULL_PROTOCOLS)('with %s, from two entrances', async (protocol) => {
    const random = createChoices(SEED);
    const [first, second] = [openStore(), openStore()];
    let stored = 0;
    for (let index = 0; index < ENTRIES; index += 1) {
      const wire = anyWireEntry(random, index);
      // Through the wire, or as an import and a shell hook create an entry.
      const isWire = random.below(2) === 0;
      const ts = anyNumber(random, 2_000_000_000);
      const checked = isWire ? fromWire(wire) : checkEntry({ ...wire, ts });
      if (!checked.ok) continue;
      stored += first.insert([checked.entry]).inserted;
    }
    expect(stored).toBeGreaterThan(20);
    const entries: Entry[] = readEntries(first);
    expect(entries).toHaveLength(stored);
    await transfer(first, second, protocol, random);
    expect(readEntries(second)).toEqual(entries);
  });
});
