import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { makeEntries } from '../../../testing/peer.ts';
import { toWire } from '../history/entry.ts';
import { BadMessageError, NoMemoryError } from './message-reader.ts';
import { createOwners } from './provenance.ts';
import {
  decodePushAnswer,
  encodePushAnswer,
  encodePushRequest,
  MAX_PUSH_ANSWER_BYTES,
  MAX_PUSH_BYTES,
} from './push-protocol.ts';
import { decodePushRequest } from './push-request.ts';
import { MessageTooLargeError, StreamCutError } from './stream-io.ts';

const PLAIN = '/rustory/entries-push/1.0.0';
const ZSTD = '/rustory/entries-push/1.0.1';

/** A request as `rr` 1.x sends it. */
const VECTOR =
  '{"entries":[{"entry_id":"0190a5c1-7d1e-7a52-9d4a-7f6de1c3a001","device_id":"laptop","user_id":"ada","ts":[2026,220,14,3,27,123456789,0,0,0],"cmd":"ls -la","cwd":"/home/ada","exit_code":0,"duration_ms":12,"shell":"zsh","hostname":"laptop.lan","version":"1.1.1"}],"deletions":[{"entry_id":"0190a5c1-7d1e-7a52-9d4a-7f6de1c3a000","user_id":"ada","device_id":"laptop","deleted_at":1786197807}]}';

const counts = { inserted: 3, ignored: 1, deletionInserted: 2, deletionIgnored: 4, deletionDeleted: 1 };
const deletion = { entry_id: 'a4b1', user_id: 'ada', device_id: 'laptop', deleted_at: 1_700_000_000 };

const pack = (protocol: string, json: string): Uint8Array =>
  protocol === ZSTD ? zstdCompressSync(json) : Buffer.from(json);

const unpack = (protocol: string, bytes: Uint8Array): string =>
  Buffer.from(protocol === ZSTD ? zstdDecompressSync(bytes) : bytes).toString();

async function readAll<T>(items: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const some of items) all.push(...some);
  return all;
}

async function decode(protocol: string, json: string) {
  const owners = createOwners();
  const request = await decodePushRequest(protocol, pack(protocol, json), owners);
  const { entries, deletions, invalid } = request;
  return {
    counts: { entries, deletions },
    invalid,
    users: [...owners.users],
    devices: [...owners.devices],
    entries: await readAll(request.readEntries()),
    deletions: await readAll(request.readDeletions()),
  };
}

describe.each([PLAIN, ZSTD])('version %s', (protocol) => {
  test('decodes a request of rr 1.x', async () => {
    expect(await decode(protocol, VECTOR)).toEqual({
      counts: { entries: 1, deletions: 1 },
      invalid: { entries: 0, deletions: 0, text: undefined },
      users: ['ada'],
      devices: ['laptop'],
      entries: [
        {
          entry_id: '0190a5c1-7d1e-7a52-9d4a-7f6de1c3a001',
          device_id: 'laptop',
          user_id: 'ada',
          ts: 1_786_197_807,
          cmd: 'ls -la',
          cwd: '/home/ada',
          exit_code: 0,
          duration_ms: 12,
          shell: 'zsh',
          hostname: 'laptop.lan',
          version: '1.1.1',
        },
      ],
      deletions: [
        {
          entry_id: '0190a5c1-7d1e-7a52-9d4a-7f6de1c3a000',
          user_id: 'ada',
          device_id: 'laptop',
          deleted_at: 1_786_197_807,
        },
      ],
    });
  });

  test('decodes what it encodes', async () => {
    const entries = makeEntries(3);
    const message = await encodePushRequest(protocol, {
      entries: entries.map((entry) => JSON.stringify(toWire(entry))),
      deletions: [JSON.stringify(deletion)],
    });
    const request = await decodePushRequest(protocol, message, createOwners());
    expect(await readAll(request.readEntries())).toEqual(entries);
    expect(await readAll(request.readDeletions())).toEqual([deletion]);
  });

  test('sends rr 0.1 a request without deletions', async () => {
    const message = await encodePushRequest(protocol, { entries: [], deletions: undefined });
    expect(unpack(protocol, message)).toBe('{"entries":[]}');
  });

  test.each(['{"entries":[]}', '{"entries":[],"deletions":null}', '{"more":{"a":[1]},"entries":[]}'])(
    'decodes %s',
    async (json) => {
      expect(await decode(protocol, json)).toMatchObject({ counts: { entries: 0, deletions: 0 }, users: [] });
    },
  );

  test.each(['', 'null', '[]', '{}', '{"entries":null}', '{"entries":{}}', '{"entries":[],"deletions":{}}'])(
    'rejects the request %p',
    async (json) => {
      await expect(decode(protocol, json)).rejects.toThrow(BadMessageError);
    },
  );

  test('answers with integers only', async () => {
    expect(unpack(protocol, await encodePushAnswer(protocol, true, counts))).toBe(
      '{"ok":true,"inserted":3,"ignored":1,"deletion_inserted":2,"deletion_ignored":4,"deletion_deleted":1}',
    );
  });

  test.each([
    [
      '{"ok":true,"inserted":3,"ignored":1,"deletion_inserted":2,"deletion_ignored":4,"deletion_deleted":1}',
      { ok: true, ...counts },
    ],
    ['{"ok":true,"inserted":3,"ignored":1}', { ok: true, inserted: 3, ignored: 1 }],
    ['{"ok":false,"inserted":null,"ignored":null,"more":[1]}', { ok: false }],
    ['{"ok":true,"inserted":-1,"ignored":1.5,"deletion_inserted":"2"}', { ok: true }],
  ])('decodes the answer %s', async (json, answer) => {
    expect(await decodePushAnswer(protocol, pack(protocol, json))).toEqual(answer);
  });

  test.each(['', '{}', '{"ok":1}', '{"ok":"true"}', '[true]'])('rejects the answer %p', async (json) => {
    await expect(decodePushAnswer(protocol, pack(protocol, json))).rejects.toThrow(BadMessageError);
  });

  test('bounds the size on the wire', async () => {
    const answer = decodePushAnswer(protocol, Buffer.alloc(MAX_PUSH_ANSWER_BYTES + 1));
    await expect(answer).rejects.toThrow(MessageTooLargeError);
    const request = decodePushRequest(protocol, Buffer.alloc(MAX_PUSH_BYTES + 1), createOwners());
    await expect(request).rejects.toThrow(MessageTooLargeError);
  });
});

const push = async (entries: unknown[], deletions: unknown[] = []) =>
  decode(PLAIN, JSON.stringify({ entries, deletions }));

describe('a push with bad items', () => {
  const [entry] = makeEntries(1).map(toWire);

  test('has the good ones, and counts the others', async () => {
    const request = await push(
      [{ ...entry, cmd: 1 }, entry, null, {}, { ...entry, ts: [] }],
      [{ ...deletion, entry_id: '' }, deletion, 7, { entry_id: 'no owner' }],
    );
    expect(request.entries.map(({ entry_id: id }) => id)).toEqual(['laptop-0']);
    expect(request.deletions).toEqual([deletion]);
    expect(request.invalid).toMatchObject({ entries: 4, deletions: 3, text: 'The field cmd must be text.' });
  });

  test.each([
    ['an invalid field', { cmd: 1 }],
    ['too many values', { more: Array.from({ length: 1_000 }, () => 0) }],
    ['deep nesting', { more: JSON.parse('['.repeat(20) + ']'.repeat(20)) as unknown }],
  ])('knows the owner of an item with %s', async (_, change) => {
    const request = await push([{ ...change, user_id: 'bob', device_id: 'desktop' }]);
    expect(request).toMatchObject({ users: ['bob'], devices: ['desktop'], invalid: { entries: 1 } });
  });
});

describe('a large push', () => {
  test('has all its items in their order, and may have them in any order of the fields', async () => {
    const entries = makeEntries(4_000);
    const deletions = Array.from({ length: 1_000 }, (_, index) => ({
      ...deletion,
      entry_id: `gone-${index}`,
    }));
    const json = JSON.stringify({ deletions, entries: [...entries.map(toWire), null] });
    const request = await decode(ZSTD, json);
    expect(request.counts).toEqual({ entries: 4_001, deletions: 1_000 });
    expect(request.invalid).toMatchObject({ entries: 1, deletions: 0 });
    expect(request.entries).toEqual(entries);
    expect(request.deletions).toEqual(deletions);
  });

  test('is rejected with more items than valid ones can be, however small it is on the wire', async () => {
    const message = zstdCompressSync(`{"entries":[${'{},'.repeat(500_000)}{}]}`);
    expect(message.length).toBeLessThan(MAX_PUSH_ANSWER_BYTES);
    await expect(decodePushRequest(ZSTD, message, createOwners())).rejects.toThrow(
      /more than 500000 entries/,
    );
  });

  test('needs memory while it is decoded, and ends without', async () => {
    const [entry] = makeEntries(1).map(toWire);
    const large = { ...entry, cmd: 'x'.repeat(4_000_000) };
    const json = JSON.stringify({ entries: [large, large] });
    const message = zstdCompressSync(json);
    const asked: number[] = [];
    const request = await decodePushRequest(ZSTD, message, createOwners(), (bytes) => asked.push(bytes) > 0);
    expect(request.entries).toBe(2);
    expect(asked.at(-1)).toBe(json.length);
    const refusedAt = async (limit: number) =>
      decodePushRequest(ZSTD, message, createOwners(), async (bytes) => bytes < limit);
    await expect(refusedAt(2_000_000)).rejects.toThrow(NoMemoryError);
  });

  test('is incomplete when its end is missing', async () => {
    const message = zstdCompressSync(VECTOR);
    await expect(decodePushRequest(ZSTD, message.subarray(0, -8), createOwners())).rejects.toThrow(
      StreamCutError,
    );
  });
});
