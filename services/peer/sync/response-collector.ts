// Collects the entries and deletions of a response, each as soon as it has arrived. One that is not valid is counted and
// hides no other.
import { type Deletion, readDeletion } from '../history/deletion.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { isLabel } from '../history/entry-rules.ts';
import {
  isObject,
  type ItemKind,
  MAX_DELETION_BYTES,
  MAX_ENTRY_BYTES,
  type ParsedItem,
  parseItem,
} from './item-parser.ts';
import type { JsonItem, ListRules } from './json-splitter.ts';
import { MessageTooLargeError } from './stream-io.ts';

/**
 * Bytes of a response for each requested item: more than a hundred times the size of an ordinary entry. When the items of
 * a page are larger on average, fewer are requested, down to one, which may be the largest one.
 */
const BYTES_PER_ITEM = 64 * 1024;

/** An entry or a deletion of a response that is not valid. The others of the response are stored. */
export interface InvalidItem {
  readonly kind: ItemKind;
  /** The position in the list of its kind. */
  readonly index: number;
  /** Why, as a whole sentence without values of the item. */
  readonly text: string;
}

export interface CollectedItems {
  readonly entries: Entry[];
  readonly ids: string[];
  readonly deletions: Deletion[];
  readonly invalid: InvalidItem[];
}

export interface ResponseCollector {
  readonly lists: Readonly<Record<'entries' | 'deletions', ListRules>>;
  readonly result: CollectedItems;
}

/** @param limit that of the request, which some releases of `rr` apply to each list, not to their sum */
export function createResponseCollector(limit: number): ResponseCollector {
  const result: CollectedItems = { entries: [], ids: [], deletions: [], invalid: [] };
  const maxBytes = Math.max(MAX_ENTRY_BYTES + MAX_DELETION_BYTES, limit * BYTES_PER_ITEM);
  let bytes = 0;
  let deletionCount = 0;

  function parse(item: JsonItem, kind: ItemKind): ParsedItem {
    // What is not kept in memory does not count.
    bytes += item.bytes?.length ?? 0;
    if (bytes > maxBytes) throw new MessageTooLargeError('content of the response', bytes, maxBytes);
    return parseItem(item, kind);
  }

  function onEntry(item: JsonItem): void {
    const parsed = parse(item, 'entry');
    const checked = parsed.ok ? fromWire(parsed.value) : parsed;
    if (checked.ok) result.entries.push(checked.entry);
    else result.invalid.push({ kind: 'entry', index: result.ids.length, text: checked.text });
    const id = parsed.ok && isObject(parsed.value) ? parsed.value['entry_id'] : undefined;
    result.ids.push(isLabel(id) ? id : `sha256:${item.sha256()}`);
  }

  function onDeletion(item: JsonItem): void {
    const parsed = parse(item, 'deletion');
    const deletion = parsed.ok ? readDeletion(parsed.value) : undefined;
    const text = parsed.ok ? 'The deletion has no valid entry_id.' : parsed.text;
    if (deletion === undefined) result.invalid.push({ kind: 'deletion', index: deletionCount, text });
    else result.deletions.push(deletion);
    deletionCount += 1;
  }

  const entries = { maxItems: limit, maxItemBytes: MAX_ENTRY_BYTES, onItem: onEntry };
  const deletions = { maxItems: limit, maxItemBytes: MAX_DELETION_BYTES, onItem: onDeletion };
  return { lists: { entries, deletions }, result };
}
