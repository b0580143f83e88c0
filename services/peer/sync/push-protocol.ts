// The push protocol of `rr`: its two versions, their limits, and the encoding of requests and answers. Version 1.0.1 is
// 1.0.0 with each message compressed by zstd. `push-request.ts` decodes requests.
import { BadMessageError, readMessage } from './message-reader.ts';
import { writeMessage } from './message-writer.ts';

const PLAIN_PROTOCOL = '/rustory/entries-push/1.0.0';
const ZSTD_PROTOCOL = '/rustory/entries-push/1.0.1';

/** Both versions, in order of preference. */
export const PUSH_PROTOCOLS: readonly string[] = [ZSTD_PROTOCOL, PLAIN_PROTOCOL];

/** Maximum size of a request on the wire in bytes. Decompressed it may have four times as many. */
export const MAX_PUSH_BYTES = 16 * 1024 * 1024;

/** Maximum size of an answer on the wire in bytes. */
export const MAX_PUSH_ANSWER_BYTES = 64 * 1024;

/** A request to send: entries and deletions as JSON, because their size is required while they are collected. */
export interface EncodedPush {
  /** Each is a wire entry, as `toWire` makes it. */
  readonly entries: readonly string[];
  /** `undefined` for a device that does not support deletions: the request is that of `rr` 0.1. */
  readonly deletions: readonly string[] | undefined;
}

export interface PushCounts {
  readonly inserted: number;
  /** Entries that were already stored, are deleted or not valid. */
  readonly ignored: number;
  /** Deletions that are new, or later than the one that was known. */
  readonly deletionInserted: number;
  readonly deletionIgnored: number;
  /** Entries that were removed. */
  readonly deletionDeleted: number;
}

/** The answer of a peer. `rr` 0.1 sends no counts of deletions, and other counts may be absent too. */
export type PushAnswer = {
  /** Whether the peer has stored all it was sent, so that the sender's cursors may move. */
  readonly ok: boolean;
} & { readonly [Name in keyof PushCounts]: number | undefined };

/** The names of the counts on the wire. */
const COUNT_FIELDS = {
  inserted: 'inserted',
  ignored: 'ignored',
  deletionInserted: 'deletion_inserted',
  deletionIgnored: 'deletion_ignored',
  deletionDeleted: 'deletion_deleted',
} as const satisfies Record<keyof PushCounts, string>;

export function isCompressedPush(protocol: string): boolean {
  return protocol === ZSTD_PROTOCOL;
}

/** @throws MessageTooLargeError */
export async function encodePushRequest(
  protocol: string,
  { entries, deletions }: EncodedPush,
): Promise<Uint8Array> {
  const fields = [`"entries":[${entries.join(',')}]`];
  if (deletions !== undefined) fields.push(`"deletions":[${deletions.join(',')}]`);
  return writeMessage(`{${fields.join(',')}}`, {
    isCompressed: isCompressedPush(protocol),
    what: 'push request',
    maxBytes: MAX_PUSH_BYTES,
  });
}

/** All counts are integers, because not every version of `rr` reads `null` in their place. */
export async function encodePushAnswer(
  protocol: string,
  ok: boolean,
  counts: PushCounts,
): Promise<Uint8Array> {
  const named = Object.entries(COUNT_FIELDS).map(([name, field]) => [
    field,
    counts[name as keyof PushCounts],
  ]);
  return writeMessage(JSON.stringify({ ok, ...Object.fromEntries(named) }), {
    isCompressed: isCompressedPush(protocol),
    what: 'push answer',
    maxBytes: MAX_PUSH_ANSWER_BYTES,
  });
}

/** Unknown fields are ignored, and counts that are not numbers are absent. @throws BadMessageError, MessageTooLargeError, StreamCutError */
export async function decodePushAnswer(protocol: string, message: Uint8Array): Promise<PushAnswer> {
  const { fields } = await readMessage(message, {
    isCompressed: isCompressedPush(protocol),
    what: 'push answer',
    maxBytes: MAX_PUSH_ANSWER_BYTES,
    lists: {},
    fields: ['ok', ...Object.values(COUNT_FIELDS)],
  });
  const ok = fields.get('ok');
  if (typeof ok !== 'boolean')
    throw new BadMessageError('The field ok of the push answer must be true or false.');
  const count = (name: keyof PushCounts): number | undefined => {
    const value = fields.get(COUNT_FIELDS[name]);
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  };
  return {
    ok,
    inserted: count('inserted'),
    ignored: count('ignored'),
    deletionInserted: count('deletionInserted'),
    deletionIgnored: count('deletionIgnored'),
    deletionDeleted: count('deletionDeleted'),
  };
}
