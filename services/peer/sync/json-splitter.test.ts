import { describe, expect, test } from '@jest/globals';
import { createJsonSplitter, JsonSplitError, type JsonItem } from './json-splitter.ts';

/** Splits a text that arrives in pieces of this size. */
function split(
  text: string | Buffer,
  pieceBytes = 1024,
  limits: { maxItemBytes?: number; maxItems?: number } = {},
) {
  const items: JsonItem[] = [];
  const splitter = createJsonSplitter({
    lists: {
      entries: { maxItems: 1_000, maxItemBytes: 1_000, ...limits, onItem: (item) => items.push(item) },
    },
    fields: ['next'],
    maxOtherBytes: 10_000,
  });
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += pieceBytes)
    splitter.push(bytes.subarray(start, start + pieceBytes));
  const { fields, counts } = splitter.end();
  return { items, fields: Object.fromEntries(fields), counts: Object.fromEntries(counts) };
}

const ITEMS = [
  {},
  [],
  null,
  -1.5e-7,
  true,
  '',
  'a"b\\',
  '\\"],}[{:,',
  { a: { b: [1, { c: ']' }], 'd"e': '}' } },
  [[[]], {}],
  '\u{1F600}\u2028',
];

describe('the items of a list', () => {
  test.each([1, 2, 3, 7, 10_000])('are the same for pieces of %i bytes', (pieceBytes) => {
    for (const space of [undefined, 1, '\r\n\t']) {
      const text = JSON.stringify(
        { x: ITEMS, entries: ITEMS, next: 5, y: { entries: [1] } },
        undefined,
        space,
      );
      const { items, fields, counts } = split(text, pieceBytes);
      expect(items.map(({ bytes }) => JSON.parse(String(bytes)) as unknown)).toEqual(ITEMS);
      expect({ fields, counts }).toEqual({ fields: { next: 5 }, counts: { entries: ITEMS.length } });
    }
  });

  test('are counted with their values and nesting before they are parsed', () => {
    const { items } = split('{"entries":[1,"[,]",[],{"a":[1,2,[3]],"b":0}]}');
    expect(items.map(({ values, depth }) => [values, depth])).toEqual([
      [1, 0],
      [1, 0],
      [2, 1],
      [7, 3],
    ]);
  });

  test('that are too large are discarded, and have the same hash for all pieces', () => {
    const text = `{"entries":["${'x'.repeat(5_000)}",1]}`;
    const hashes = [1, 100, 999, 10_000].map((pieceBytes) => {
      const { items } = split(text, pieceBytes);
      expect(items.map(({ bytes }) => bytes?.toString())).toEqual([undefined, '1']);
      return items[0]?.sha256();
    });
    expect(new Set(hashes).size).toBe(1);
    expect(split(text, 10, { maxItemBytes: 10_000 }).items[0]?.sha256()).toBe(hashes[0]);
  });
});

describe('an object', () => {
  test.each([
    ['', 'is not a complete JSON object'],
    ['null', 'is not a JSON object'],
    ['[]', 'is not a JSON object'],
    ['{"entries":[1,2', 'is not a complete JSON object'],
    ['{"entries":["1', 'is not a complete JSON object'],
    ['{"entries":[1,]}', 'is not JSON'],
    ['{"entries":[,1]}', 'is not JSON'],
    ['{"entries":[1}', 'is not JSON'],
    ['{"next":1]', 'is not JSON'],
    ['{"next":}', 'is not JSON'],
    ['{"next":nope}', 'is not JSON'],
    ['{"next" 1}', 'is not a JSON object'],
    ['{next:1}', 'is not a JSON object'],
    ['{"next":1,}', 'is not a JSON object'],
    ['{"next":1}{}', 'has text after its end'],
    ['{"next":1,"next":2}', 'has the field next twice'],
    ['{"entries":[],"\\u0065ntries":[]}', 'has the field entries twice'],
    [`{"entries":[${'1,'.repeat(1_000)}1]}`, 'has more than 1000 entries'],
    [`{"x":"${'x'.repeat(20_000)}"}`, 'has more than 10000 bytes outside its lists'],
    [' '.repeat(20_000), 'has more than 10000 bytes outside its lists'],
  ])('%.30j is rejected', (text, reason) => {
    for (const pieceBytes of [1, 100_000]) {
      expect(() => split(text, pieceBytes)).toThrow(JsonSplitError);
      expect(() => split(text, pieceBytes)).toThrow(reason);
    }
  });

  test('may have null or another value instead of a list, and a plain field that is too large', () => {
    expect(split('{"entries":null}').fields).toEqual({ entries: null });
    expect(split('{"entries":{"a":1}}').fields).toEqual({ entries: { a: 1 } });
    expect(split(`{"next":"${'x'.repeat(5_000)}"}`).fields).toEqual({ next: undefined });
    expect(split(' {} \n')).toEqual({ items: [], fields: {}, counts: {} });
  });
});
