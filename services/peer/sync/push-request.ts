// Decodes a push. It is read once before anything is stored, to find out whose items it has and how many, and what fits
// into a small buffer is kept. The items of a larger push are read again while they are stored, so that a push needs little
// more memory than its bytes on the wire, whatever it decompresses to.
import { type Deletion, readDeletion } from '../history/deletion.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { isLabel } from '../history/entry-rules.ts';
import { isObject, MAX_DELETION_BYTES, MAX_ENTRY_BYTES, type ParsedItem, parseItem } from './item-parser.ts';
import type { InvalidCounts } from './invalid-items.ts';
import { createJsonSplitter, type JsonItem, JsonSplitError, type ListRules } from './json-splitter.ts';
import { BadMessageError, type MessageRules, readMessage, splitMessage } from './message-reader.ts';
import type { Owners } from './provenance.ts';
import { isCompressedPush, MAX_PUSH_BYTES } from './push-protocol.ts';

/**
 * Maximum entries, and maximum deletions, of a push. `rr` sends 1,000; more entries than this have less than 135 bytes each,
 * which no valid one has. Each item costs time, and a few kilobytes can decompress to millions of empty ones.
 */
const MAX_ITEMS = 500_000;

/** Maximum size of what is not in an item, in bytes: the commas between the items, and unknown fields, which cost time too. */
const MAX_OTHER_BYTES = 2 * MAX_ITEMS + 256 * 1024;

/** Maximum bytes of JSON and number of the items that are kept: more than those of an ordinary push of `rr`, which has 1,000. */
const MAX_KEPT_BYTES = 512 * 1024;
const MAX_KEPT_ITEMS = 2_000;

export interface PushRequest {
  /** Number of entries and deletions, valid or not. */
  readonly entries: number;
  readonly deletions: number;
  readonly invalid: InvalidCounts;
  /** Reads the valid items, some at a time. */
  readEntries(): AsyncIterable<readonly Entry[]>;
  readDeletions(): AsyncIterable<readonly Deletion[]>;
}

type Items = { readonly entries: Entry[]; readonly deletions: Deletion[] };
type ListName = keyof Items;

/**
 * Reads a push without storing anything.
 *
 * @param owners gets the user and the device of each item of which they can be read, also of one that is not valid
 * @param reserve called before more than these bytes of JSON are decoded; `false` ends the work. An ordinary push of `rr` does
 * not need it
 * @throws BadMessageError, MessageTooLargeError, NoMemoryError, StreamCutError
 */
export async function decodePushRequest(
  protocol: string,
  message: Uint8Array,
  owners: Owners,
  reserve: (bytes: number) => boolean | Promise<boolean> = () => true,
): Promise<PushRequest> {
  const isCompressed = isCompressedPush(protocol);
  const kept: Items = { entries: [], deletions: [] };
  let [keptBytes, isKept] = [0, true];
  const invalid = { entries: 0, deletions: 0, text: undefined as string | undefined };

  function keep(item: JsonItem, add: () => void): void {
    keptBytes += item.bytes?.length ?? 0;
    if (!isKept) return;
    isKept = keptBytes <= MAX_KEPT_BYTES && kept.entries.length + kept.deletions.length < MAX_KEPT_ITEMS;
    if (isKept) add();
    else for (const list of [kept.entries, kept.deletions]) list.length = 0;
  }

  function reject(list: ListName, text: string): void {
    invalid[list] += 1;
    invalid.text ??= text;
  }

  const lists = createLists({
    entry(item) {
      const parsed = parseItem(item, 'entry');
      owners.add(readOwner(parsed, item));
      const checked = parsed.ok ? fromWire(parsed.value) : parsed;
      if (checked.ok) keep(item, () => kept.entries.push(checked.entry));
      else reject('entries', checked.text);
    },
    deletion(item) {
      const parsed = parseItem(item, 'deletion');
      owners.add(readOwner(parsed, item));
      const deletion = readPushedDeletion(parsed);
      if (deletion !== undefined) keep(item, () => kept.deletions.push(deletion));
      else reject('deletions', parsed.ok ? 'The deletion has no valid ids.' : parsed.text);
    },
  });
  const rules: MessageRules = {
    isCompressed,
    what: 'push request',
    maxBytes: MAX_PUSH_BYTES,
    lists,
    fields: [],
    maxOtherBytes: MAX_OTHER_BYTES,
  };
  const { fields, counts } = await readMessage(message, {
    ...rules,
    reserve: (bytes) => bytes <= MAX_KEPT_BYTES || reserve(bytes),
  });
  if (!counts.has('entries')) throw new BadMessageError('The field entries of the push must be a list.');
  // Absent in pushes of `rr` 0.1.
  if ((fields.get('deletions') ?? undefined) !== undefined)
    throw new BadMessageError('The field deletions of the push must be a list.');

  const count = (list: ListName): number => counts.get(list) ?? 0;
  return {
    entries: count('entries'),
    deletions: count('deletions'),
    invalid,
    readEntries: () =>
      isKept
        ? once(kept.entries)
        : readAgain<Entry>(message, rules, (add) => ({
            entry(item) {
              const parsed = parseItem(item, 'entry');
              const checked = parsed.ok ? fromWire(parsed.value) : parsed;
              if (checked.ok) add(checked.entry);
            },
          })),
    readDeletions: () =>
      isKept || count('deletions') === 0
        ? once(kept.deletions)
        : readAgain<Deletion>(message, rules, (add) => ({
            deletion(item) {
              const deletion = readPushedDeletion(parseItem(item, 'deletion'));
              if (deletion !== undefined) add(deletion);
            },
          })),
  };
}

interface ItemHandlers {
  readonly entry?: (item: JsonItem) => void;
  readonly deletion?: (item: JsonItem) => void;
}

function ignoreItem(): void {}

function createLists({ entry, deletion }: ItemHandlers): Record<ListName, ListRules> {
  return {
    entries: { maxItems: MAX_ITEMS, maxItemBytes: MAX_ENTRY_BYTES, onItem: entry ?? ignoreItem },
    deletions: { maxItems: MAX_ITEMS, maxItemBytes: MAX_DELETION_BYTES, onItem: deletion ?? ignoreItem },
  };
}

async function* once<T>(items: readonly T[]): AsyncGenerator<readonly T[]> {
  if (items.length > 0) yield items;
}

async function* readAgain<T>(
  message: Uint8Array,
  rules: MessageRules,
  createHandlers: (add: (item: T) => void) => ItemHandlers,
): AsyncGenerator<readonly T[]> {
  let found: T[] = [];
  const lists = createLists(createHandlers((item) => void found.push(item)));
  for await (const _ of splitMessage(message, { ...rules, lists })) {
    if (found.length === 0) continue;
    yield found;
    found = [];
  }
  if (found.length > 0) yield found;
}

/** A deletion whose owner cannot be read is not stored, because it may be that of another device. */
function readPushedDeletion(parsed: ParsedItem): Deletion | undefined {
  if (!parsed.ok || !isObject(parsed.value)) return undefined;
  const { user_id: userId, device_id: deviceId } = parsed.value;
  return isLabel(userId) && isLabel(deviceId) ? readDeletion(parsed.value) : undefined;
}

/** The ids of an item. Those of one with too many values are searched for, without building the others. */
function readOwner(parsed: ParsedItem, { bytes }: JsonItem): Readonly<Record<string, unknown>> {
  if (parsed.ok) return isObject(parsed.value) ? parsed.value : {};
  if (bytes === undefined) return {};
  const fields = ['user_id', 'device_id'];
  const splitter = createJsonSplitter({ lists: {}, fields, maxOtherBytes: bytes.length });
  try {
    splitter.push(bytes);
    return Object.fromEntries(splitter.end().fields);
  } catch (error) {
    if (!(error instanceof JsonSplitError)) throw error;
    return {};
  }
}
