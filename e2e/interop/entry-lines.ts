// Entries as text, to compare those of two programs whose JSON has another order of fields.
import type { Entry } from '../../services/peer/history/entry.ts';

/** The order of the fields in the output of the Rust programs. */
const FIELDS = [
  'entry_id',
  'device_id',
  'user_id',
  'ts',
  'cmd',
  'cwd',
  'exit_code',
  'duration_ms',
  'shell',
  'hostname',
  'version',
] as const satisfies ReadonlyArray<keyof Entry>;

/** One line of JSON for each entry, in their order. */
export function entryLines(entries: readonly Entry[]): string[] {
  return entries.map((entry) =>
    JSON.stringify(Object.fromEntries(FIELDS.map((field) => [field, entry[field]]))),
  );
}
