// Counts what a pull skips, because it is not valid.
import type { InvalidItem } from './response-collector.ts';

export interface InvalidCounts {
  readonly entries: number;
  readonly deletions: number;
  /** Why the first one is not valid, as a whole sentence; `undefined` when all are valid. */
  readonly text: string | undefined;
}

export const NONE_INVALID: InvalidCounts = { entries: 0, deletions: 0, text: undefined };

export function addInvalid(before: InvalidCounts, items: readonly InvalidItem[]): InvalidCounts {
  const entries = items.filter(({ kind }) => kind === 'entry').length;
  return {
    entries: before.entries + entries,
    deletions: before.deletions + items.length - entries,
    text: before.text ?? items[0]?.text,
  };
}

/** The counts of two turns of one peer. */
export function sumInvalid(a: InvalidCounts, b: InvalidCounts): InvalidCounts {
  return {
    entries: a.entries + b.entries,
    deletions: a.deletions + b.deletions,
    text: a.text ?? b.text,
  };
}
