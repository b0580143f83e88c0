// Parses one entry or deletion of a message, within limits on its size, on its values and on their nesting.
import { isUtf8 } from 'node:buffer';
import { MAX_ENTRY_JSON_BYTES, MAX_LABEL_BYTES } from '../history/entry-rules.ts';
import type { JsonItem } from './json-splitter.ts';

/** Maximum size of an entry in bytes. More than that of a valid one, because the digits of a number may be longer. */
export const MAX_ENTRY_BYTES = MAX_ENTRY_JSON_BYTES + 1024;

/** Maximum size of a deletion in bytes. A valid one has three labels, of which each byte can become six as JSON. */
export const MAX_DELETION_BYTES = 3 * 6 * MAX_LABEL_BYTES + 1024;

/** Maximum values and nesting of an item. An entry has 20 values and a depth of 2; newer versions may have more. */
const MAX_ITEM_VALUES = 256;
const MAX_ITEM_DEPTH = 16;

export type ItemKind = 'entry' | 'deletion';

/** The value of an item, or a whole sentence that says why it has none. */
export type ParsedItem =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly text: string };

export function parseItem({ bytes, values, depth }: JsonItem, kind: ItemKind): ParsedItem {
  const bad = (problem: string): ParsedItem => ({ ok: false, text: `The ${kind} ${problem}.` });
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

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
