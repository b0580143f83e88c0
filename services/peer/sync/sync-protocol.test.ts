import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { toWire } from '../history/entry.ts';
import { BadMessageError } from './message-reader.ts';
import { MessageTooLargeError } from './stream-io.ts';
import {
  decodeResponse,
  decodeRequest,
  encodeResponse,
  encodeRequest,
  MAX_LIMIT,
  MAX_LIMIT_WITHOUT_DELETIONS,
  MAX_REQUEST_BYTES,
  type EncodedPage,
} from './sync-protocol.ts';

const EMPTY_PAGE: EncodedPage = {
  entries: [],
  nextCursor: undefined,
  deletions: [],
  nextDeleteCursor: undefined,
};
import { makeEntries } from '../../../testing/peer.ts';

const PLAIN = '/rustory/sync-pull/1.0.0';
const ZSTD = '/rustory/sync-pull/1.0.1';
const request = { cursor: 5, deleteCursor: 2, limit: 100 };
const deletion = { entry_id: 'a4b1', user_id: 'ada', device_id: 'laptop', deleted_at: 1_700_000_000 };

const pack = (protocol: string, json: string): Uint8Array =>
  protocol === ZSTD ? zstdCompressSync(json) : Buffer.from(json);

const unpack = async (protocol: string, json: string) => decodeRequest(protocol, pack(protocol, json));

describe.each([PLAIN, ZSTD])('version %s', (protocol) => {
  test('encodes and decodes a request', async () => {
    expect(await decodeRequest(protocol, await encodeRequest(protocol, request))).toEqual(request);
  });

  test('encodes and decodes a response and an empty response', async () => {
    const entries = makeEntries(3);
    const message = await encodeResponse(protocol, {
      entries: entries.map((entry) => JSON.stringify(toWire(entry))),
      nextCursor: 8,
      deletions: [JSON.stringify(deletion)],
      nextDeleteCursor: 3,
    });
    expect(await decodeResponse(protocol, message, request)).toEqual({
      entries,
      ids: entries.map(({ entry_id: id }) => id),
      nextCursor: 8,
      deletions: [deletion],
      nextDeleteCursor: 3,
      invalid: [],
    });
    const empty = await encodeResponse(protocol, EMPTY_PAGE);
    expect(await decodeResponse(protocol, empty, request)).toEqual({
      entries: [],
      ids: [],
      deletions: [],
      invalid: [],
    });
  });

  test('decodes a response of rr 0.1, which has no deletions', async () => {
    const json = JSON.stringify({ entries: makeEntries(2).map(toWire), next_cursor: 8 });
    expect(await decodeResponse(protocol, pack(protocol, json), request)).toEqual({
      entries: makeEntries(2),
      ids: ['laptop-0', 'laptop-1'],
      nextCursor: 8,
      deletions: [],
      invalid: [],
    });
  });

  test('sends rr 0.1, which does not know deletions, a response without their fields', async () => {
    const message = await encodeResponse(PLAIN, { ...EMPTY_PAGE, deletions: undefined });
    expect(Buffer.from(message).toString()).toBe('{"entries":[],"next_cursor":null}');
    expect(Buffer.from(await encodeRequest(PLAIN, request)).toString()).toBe(
      '{"cursor":5,"limit":100,"delete_cursor":2}',
    );
  });

  test('decodes requests of rr: unknown fields, null cursors, limits out of range', async () => {
    expect(await unpack(protocol, '{"cursor":3,"limit":10,"delete_cursor":4,"x":1}')).toEqual({
      cursor: 3,
      deleteCursor: 4,
      limit: 10,
    });
    expect(await unpack(protocol, '{"cursor":null,"limit":10,"delete_cursor":null}')).toEqual({
      cursor: 0,
      limit: 10,
    });
    expect(await unpack(protocol, '{"cursor":0,"limit":5000}')).toEqual({ cursor: 0, limit: 5000 });
    expect(await unpack(protocol, '{"cursor":0,"limit":18446744073709}')).toEqual({
      cursor: 0,
      limit: MAX_LIMIT_WITHOUT_DELETIONS,
    });
    const max = '9223372036854775807';
    expect(await unpack(protocol, `{"cursor":${max},"limit":${max},"delete_cursor":${max}}`)).toEqual({
      cursor: Number.MAX_SAFE_INTEGER,
      deleteCursor: Number.MAX_SAFE_INTEGER,
      limit: MAX_LIMIT,
    });
    for (const [limit, granted] of [
      [0, 1],
      [1, 1],
      [1000, 1000],
      [1001, MAX_LIMIT],
    ])
      expect(await unpack(protocol, `{"cursor":0,"limit":${limit},"delete_cursor":0}`)).toMatchObject({
        limit: granted,
      });
  });

  test.each([
    '',
    'null',
    '[]',
    '{"cursor":0}',
    '{"cursor":-1,"limit":1}',
    '{"cursor":0.5,"limit":1}',
    '{"cursor":0,"limit":-1}',
    '{"cursor":0,"limit":1,"delete_cursor":-1}',
    '{"cursor":0,"limit":1,"delete_cursor":"1"}',
    '{"cursor":0,"limit":1,"delete_cursor":0.5}',
    '{"cursor":"1","limit":1}',
  ])('rejects the request %j', async (json) => {
    await expect(decodeRequest(protocol, pack(protocol, json))).rejects.toThrow(BadMessageError);
  });

  test.each([
    ['entries that are not a list', '{"entries":{},"next_cursor":1}'],
    ['a cursor that does not grow', JSON.stringify({ entries: makeEntries(1).map(toWire), next_cursor: 5 })],
    ['entries without a cursor', JSON.stringify({ entries: makeEntries(1).map(toWire), next_cursor: null })],
    [
      'more entries than requested',
      JSON.stringify({ entries: makeEntries(101).map(toWire), next_cursor: 200 }),
    ],
    ['deletions that are not a list', '{"entries":[],"next_cursor":null,"deletions":{}}'],
    ['deletions without a cursor', JSON.stringify({ entries: [], next_cursor: null, deletions: [deletion] })],
    [
      'a delete cursor that does not grow',
      JSON.stringify({ entries: [], next_cursor: null, deletions: [deletion], next_delete_cursor: 2 }),
    ],
    [
      'more deletions than requested',
      JSON.stringify({
        entries: [],
        deletions: Array.from({ length: 101 }, () => deletion),
        next_delete_cursor: 200,
      }),
    ],
    ['incomplete JSON', '{"entries":['],
  ])('rejects a response with %s', async (_, json) => {
    await expect(decodeResponse(protocol, pack(protocol, json), request)).rejects.toThrow(BadMessageError);
  });

  test('has its valid entries and deletions, and reports the others', async () => {
    const [first, second] = makeEntries(2).map(toWire);
    const json = JSON.stringify({
      entries: [first, null, { ...second, entry_id: 'odd', shell: 1 }, second],
      next_cursor: 9,
      deletions: [deletion, {}],
      next_delete_cursor: 4,
    });
    expect(await decodeResponse(protocol, pack(protocol, json), request)).toEqual({
      entries: makeEntries(2),
      ids: ['laptop-0', expect.stringMatching(/^sha256:[0-9a-f]{64}$/), 'odd', 'laptop-1'],
      nextCursor: 9,
      deletions: [deletion],
      nextDeleteCursor: 4,
      invalid: [
        { kind: 'entry', index: 1, text: 'The entry is not an object.' },
        { kind: 'entry', index: 2, text: 'The field shell must be text.' },
        { kind: 'deletion', index: 1, text: 'The deletion has no valid entry_id.' },
      ],
    });
  });

  test('reports the size and the limit of a message that is too large', async () => {
    const large = pack(PLAIN, `{"cursor":0,"limit":1,"x":"${'x'.repeat(MAX_REQUEST_BYTES * 4)}"}`);
    const message = protocol === ZSTD ? zstdCompressSync(large) : large;
    await expect(decodeRequest(protocol, message)).rejects.toThrow(MessageTooLargeError);
    await expect(decodeRequest(protocol, message)).rejects.toThrow(/request is too large: \d+ > \d+ bytes/);
  });
});
