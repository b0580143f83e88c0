import { constants, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { type Entry, toWire } from '../history/entry.ts';
import { MAX_ENTRY_JSON_BYTES, MAX_LABEL_BYTES } from '../history/entry-rules.ts';
import { BadMessageError } from './message-reader.ts';
import { MessageTooLargeError, StreamCutError } from './stream-io.ts';
import { decodeResponse, encodeResponse, MAX_RESPONSE_BYTES, PULL_PROTOCOLS } from './sync-protocol.ts';
import { makeEntries } from '../../../testing/peer.ts';

const [ZSTD = '', PLAIN = ''] = PULL_PROTOCOLS;
const request = { cursor: 5, deleteCursor: 2, limit: 100 };

describe('a compressed message', () => {
  test('that is incomplete fails with an error after which the request can be repeated', async () => {
    const message = zstdCompressSync(JSON.stringify({ entries: [], next_cursor: null, x: 'y'.repeat(1000) }));
    await expect(decodeResponse(ZSTD, message.subarray(0, -5), request)).rejects.toThrow(StreamCutError);
  });

  test('that is not compressed is rejected', async () => {
    await expect(decodeResponse(ZSTD, Buffer.from('{"entries":[]}'), request)).rejects.toThrow();
  });

  test.each([
    ['spaces', '', ' ', /more than \d+ bytes outside its lists/],
    ['objects', '{"entries":[', '{},', /has more than 100 entries/],
    ['lists of lists', '{"entries":[', '[', /is not a complete JSON object/],
    ['deletions', '{"entries":[],"deletions":[', '1,', /has more than 100 deletions/],
    ['fields', '{"entries":[],', '"x":0,', /more than \d+ bytes outside its lists/],
    ['objects in a field', '{"x":[', '{},', /more than \d+ bytes outside its lists/],
    ['characters in one text', '{"entries":["', 'x', /is not a complete JSON object/],
  ])('with millions of %s uses little memory', async (_, start, unit, reason) => {
    const json = Buffer.concat([Buffer.from(start), Buffer.alloc(MAX_RESPONSE_BYTES * 3, unit)]);
    const bomb = zstdCompressSync(json);
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().rss;
    await expect(decodeResponse(ZSTD, bomb, request)).rejects.toThrow(reason);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_RESPONSE_BYTES * 3);
  });

  test('that decompresses to more than four times the limit on the wire is rejected', async () => {
    const json = Buffer.concat([Buffer.from('{"entries":["'), Buffer.alloc(MAX_RESPONSE_BYTES * 4, 'x')]);
    await expect(decodeResponse(ZSTD, zstdCompressSync(json), request)).rejects.toThrow(MessageTooLargeError);
  });

  test('has the entries around one that is too large, nested too deeply or has too many values', async () => {
    const [first, second] = makeEntries(2).map((entry) => JSON.stringify(toWire(entry)));
    const odd = [
      `{"entry_id":"huge","cmd":"${'\\u0001'.repeat(8 * 1024 * 1024)}"}`,
      '['.repeat(100_000) + ']'.repeat(100_000),
      `{"entry_id":"many","x":[${'0,'.repeat(1_000_000)}0]}`,
      `{"entry_id":"keys",${Array.from({ length: 10_000 }, (_, index) => `"${index}":0`).join(',')}}`,
      '{"entry_id":}',
      '"\\ud800"',
    ];
    const json = `{"entries":[${[first, ...odd, second].join(',')}],"next_cursor":9}`;
    const response = await decodeResponse(ZSTD, zstdCompressSync(json), request);
    expect(response).toMatchObject({ entries: makeEntries(2), nextCursor: 9 });
    expect(response.invalid.map(({ text }) => text)).toEqual([
      'The entry is too large.',
      'The entry has more than 256 values.',
      'The entry has more than 256 values.',
      'The entry has more than 256 values.',
      'The entry is not JSON.',
      'The entry is not an object.',
    ]);
    expect(new Set(response.ids).size).toBe(8);
  });

  test('is requested again with fewer entries when they are larger than what was asked for', async () => {
    const large = makeEntries(9).map((entry) => toWire({ ...entry, cmd: 'x'.repeat(2 * 1024 * 1024) }));
    const json = (count: number) => JSON.stringify({ entries: large.slice(0, count), next_cursor: 9 });
    const decode = async (count: number) =>
      decodeResponse(ZSTD, zstdCompressSync(json(count)), { ...request, limit: 9 });
    await expect(decode(9)).rejects.toThrow(MessageTooLargeError);
    expect((await decode(7)).entries).toHaveLength(7);
  });

  test('may be the largest entry and the largest deletion, each of whose bytes becomes six as JSON', async () => {
    const entry = { ...(makeEntries(1)[0] as Entry), cmd: '\u0001'.repeat(MAX_ENTRY_JSON_BYTES / 6 - 200) };
    const control = '\u0001'.repeat(MAX_LABEL_BYTES);
    const largest = { entry_id: control, user_id: control, device_id: control, deleted_at: 1 };
    const page = {
      entries: [JSON.stringify(toWire(entry))],
      nextCursor: 9,
      deletions: [JSON.stringify(largest)],
      nextDeleteCursor: 9,
    };
    for (const protocol of [PLAIN, ZSTD]) {
      const message = await encodeResponse(protocol, page);
      expect(await decodeResponse(protocol, message, { ...request, limit: 1 })).toMatchObject({
        entries: [entry],
        deletions: [largest],
        invalid: [],
      });
    }
  });

  test.each([
    ['no content size', { [constants.ZSTD_c_contentSizeFlag]: 0 }],
    ['a checksum', { [constants.ZSTD_c_checksumFlag]: 1 }],
    ['the highest level', { [constants.ZSTD_c_compressionLevel]: 19 }],
  ])('with %s is decoded', async (_, params) => {
    const json = JSON.stringify({ entries: makeEntries(9).map(toWire), next_cursor: 9 });
    const message = zstdCompressSync(json, { params });
    expect((await decodeResponse(ZSTD, message, request)).entries).toHaveLength(9);
  });

  test('of several frames, with skippable ones before, between and after them, is decoded', async () => {
    const json = JSON.stringify({ entries: makeEntries(9).map(toWire), next_cursor: 9 });
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const frames = [json.slice(0, 100), '', json.slice(100)].map((part) => zstdCompressSync(part));
    const message = Buffer.concat([skippable, ...frames.flatMap((frame) => [frame, skippable])]);
    expect((await decodeResponse(ZSTD, message, request)).entries).toHaveLength(9);
  });

  test('that states a wrong content size is rejected', async () => {
    const message = zstdCompressSync(JSON.stringify({ entries: [], next_cursor: null, x: 'y'.repeat(1000) }));
    // The second byte of the content size in the header of the frame.
    const lying = Buffer.from(message);
    lying[6] = 0xff;
    await expect(decodeResponse(ZSTD, lying, request)).rejects.toThrow(BadMessageError);
  });

  test('that requests a window of a gigabyte is rejected before the memory is allocated', async () => {
    const greedy = zstdCompressSync(Buffer.alloc(1024 * 1024), {
      params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 },
    });
    // The window descriptor of the frame header, set to the largest window.
    const withLargestWindow = Buffer.from(greedy);
    withLargestWindow[5] = 0xa8;
    await expect(decodeResponse(ZSTD, withLargestWindow, request)).rejects.toThrow(/too much memory/);
  });
});
