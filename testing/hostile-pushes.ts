// Pushes that a device must refuse, and what a hostile member of a network sends besides.
import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import type { Connection } from '@libp2p/interface';
import type { PushClient } from './push-client.ts';
import { wireDeletion, wireEntries, type WireEntry } from './wire-entries.ts';
import { decode, encode, type Encoding, PUSH } from './wire-messages.ts';

const MIB = 1024 * 1024;

/** A push as its bytes, from a member with the device id `mallory`. */
export type Attack = readonly [name: string, encoding: Encoding, bytes: () => Uint8Array];

const text = (json: string): Uint8Array => Buffer.from(json);
const compressed = (json: string): Uint8Array => zstdCompressSync(text(json));
const request = (encoding: Encoding, message: unknown) => encode(message, encoding);
/** Entries that the hostile member may push. */
export const ownEntries = (count: number): WireEntry[] => wireEntries('mallory', count);

/** The number of entries that a small message can contain when it is compressed. */
const MANY = 10_000_000;

export const HOSTILE_PUSHES: readonly Attack[] = [
  ['no byte', 'json', () => text('')],
  ['random bytes as JSON', 'json', () => randomBytes(5_000)],
  ['random bytes as zstd', 'zstd', () => randomBytes(5_000)],
  ['zstd that is cut off', 'zstd', () => request('zstd', { entries: ownEntries(500) }).subarray(0, -20)],
  ['JSON that is cut off', 'json', () => request('json', { entries: ownEntries(500) }).subarray(0, -20)],
  ['a list', 'json', () => text('[]')],
  ['entries that are no list', 'json', () => text('{"entries":{"length":5}}')],
  ['deletions that are no list', 'json', () => text('{"entries":[],"deletions":"all"}')],
  ['deep nesting', 'zstd', () => compressed(`{"entries":[${'['.repeat(4 * MIB)}`)],
  ['17 MiB', 'json', () => Buffer.alloc(17 * MIB, ' ')],
  ['1 GiB of spaces', 'zstd', () => zstdCompressSync(Buffer.alloc(1024 * MIB, ' '))],
  ['10 million numbers', 'zstd', () => compressed(`{"entries":[${'0,'.repeat(MANY)}0]}`)],
  ['10 million empty entries', 'zstd', () => compressed(`{"entries":[${'{},'.repeat(MANY)}{}]}`)],
  ['10 million deletions', 'zstd', () => compressed(`{"entries":[],"deletions":[${'{},'.repeat(MANY)}{}]}`)],
  [
    'an entry of another device',
    'zstd',
    () => request('zstd', { entries: [...ownEntries(5), ...wireEntries('victim', 1)] }),
  ],
  [
    'an entry of another user',
    'zstd',
    () =>
      request('zstd', {
        entries: [...ownEntries(5), ...wireEntries('mallory', 1, { first: 9, userId: 'eve' })],
      }),
  ],
  [
    'a deletion of another device',
    'json',
    () => request('json', { entries: ownEntries(5), deletions: [wireDeletion('victim', 1)] }),
  ],
  [
    'a deletion of another user',
    'zstd',
    () => request('zstd', { entries: ownEntries(5), deletions: [wireDeletion('mallory', 1, 'eve')] }),
  ],
];

/** Whether the push was acknowledged. A refusal is an answer with `ok: false`, or the end of the stream. */
export async function isAcknowledged(
  client: PushClient,
  connection: Connection,
  encoding: Encoding,
  bytes: Uint8Array,
): Promise<boolean> {
  try {
    const answer = await client.exchange(connection, PUSH[encoding], bytes);
    return (decode(answer, encoding) as { ok: boolean }).ok;
  } catch {
    return false;
  }
}
