// Collects the entries and deletions of a response, each as soon as it has arrived. One that is not valid is counted and
// hides no other.
import { isUtf8 } from 'node:buffer';
import { type Deletion, readDeletion } from '../history/deletion.ts';
import { type Entry, fromWire } from '../history/entry.ts';
import { isLabel, MAX_ENTRY_JSON_BYTES, MAX_LABEL_BYTES } from '../history/entry-rules.ts';
import type { JsonItem, ListRules } from './json-splitter.ts';
import { MessageTooLargeError } from './stream-io.ts';

/** Maximum size of an entry in bytes. More than that of a valid one, because the digits of a number may be longer. */
const MAX_ENTRY_BYTES = MAX_ENTRY_JSON_BYTES + 1024;

/** Maximum size of a deletion in bytes. A valid one has three labels, of which each byte can become six as JSON. */
const MAX_DELETION_BYTES = 3 * 6 * MAX_LABEL_BYTES + 1024;

/** Maximum values and nesting of an item. An entry has 20 values and a depth of 2; newer versions may have more. */
const MAX_ITEM_VALUES = 256;
const MAX_ITEM_DEPTH = 16;

/**
 * Bytes of a response for each requested item: more than a hundred times the size of an ordinary entry. When the items of
 * a page are larger on average, fewer are requested, down to one, which may be the largest one.
 */
const BYTES_PER_ITEM = 64 * 1024;

/** An entry or a deletion of a response that is not valid. The others of the response are stored. */
export interface InvalidItem {
  readonly kind: 'entry' | 'deletion';
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

type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly text: string };

/** @param limit that of the request, which some releases of `rr` apply to each list, not to their sum */
export function createResponseCollector(limit: number): ResponseCollector {
  const result: CollectedItems = { entries: [], ids: [], deletions: [], invalid: [] };
  const maxBytes = Math.max(MAX_ENTRY_BYTES + MAX_DELETION_BYTES, limit * BYTES_PER_ITEM);
  let bytes = 0;
  let deletionCount = 0;

  function parse(item: JsonItem, kind: InvalidItem['kind']): Parsed {
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

function parseItem({ bytes, values, depth }: JsonItem, kind: InvalidItem['kind']): Parsed {
  const bad = (problem: string): Parsed => ({ ok: false, text: `The ${kind} ${problem}.` });
  if (bytes === undefined) return bad('is too large');
  if (values > MAX_ITEM_VALUES) return bad(`has more than ${MAX_ITEM_VALUES} values`);
  if (depth > MAX_ITEM_DEPTH) return bad(`is nested more than ${MAX_ITEM_DEPTH} times`);
  if (!isUtf8(bytes)) return bad('is not well-formed Unicode');
  try {
    return { ok: true, value: JSON.parse(bytes.toString('utf8')) as unknown };
  } catch {
    return bad('is not JSON');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
