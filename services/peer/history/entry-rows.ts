// Reads entries from rows of the database. `rr` and other programs write there too, so that a row may contain an entry
// that cannot be sent, or a value that cannot even be read: it must not hide the rows after it.
import {
  type CheckedEntry,
  checkEntry,
  MAX_LABEL_BYTES,
  NUMBER_LIMITS,
  TEXT_LIMITS,
  tooLargeText,
} from './entry-rules.ts';

const TEXT_FIELDS = Object.keys(TEXT_LIMITS) as Array<keyof typeof TEXT_LIMITS>;
const NUMBER_FIELDS = Object.keys(NUMBER_LIMITS) as Array<keyof typeof NUMBER_LIMITS>;

/** The names of the columns of an entry, besides its number. */
export const ENTRY_COLUMNS = [...TEXT_FIELDS, ...NUMBER_FIELDS];

/** A text; the number of its bytes if it is too large; the bytes of a text with a NUL; NULL if it is no text. */
function textSql(field: string, maxBytes: number): string {
  // Node.js 22 ends a text at the first NUL, but not a blob.
  return `CASE WHEN typeof(${field}) <> 'text' THEN NULL
    WHEN octet_length(${field}) > ${maxBytes} THEN octet_length(${field})
    WHEN instr(${field}, char(0)) > 0 THEN CAST(${field} AS BLOB) ELSE ${field} END AS ${field}`;
}

/** A number; NULL if it is not in the range of the field, because Node.js cannot read every integer of SQLite. */
function numberSql(field: keyof typeof NUMBER_LIMITS): string {
  return `CASE WHEN ${isNumberSql(field)} THEN ${field} END AS ${field}`;
}

function isNumberSql(field: keyof typeof NUMBER_LIMITS): string {
  const [min, max] = NUMBER_LIMITS[field];
  return `(typeof(${field}) = 'integer' AND ${field} BETWEEN ${min} AND ${max})`;
}

/** The columns of an entry, for `readRow`. */
export const ENTRY_COLUMNS_SQL = [
  ...TEXT_FIELDS.map((field) => textSql(field, TEXT_LIMITS[field])),
  ...NUMBER_FIELDS.map(numberSql),
].join(', ');

/** A condition of entries. `rr` 0.1, which does not know deletions, may have stored one again in a shared database. */
export const NOT_DELETED_SQL =
  'NOT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_deletions.entry_id = entries.entry_id)';

/** A column with a label, for `readText`. */
export function labelSql(field: string): string {
  return textSql(field, MAX_LABEL_BYTES);
}

/** A condition that all deletions fulfill that cannot be sent. */
export const SUSPICIOUS_DELETION_SQL = `typeof(entry_id) <> 'text' OR octet_length(entry_id) > ${MAX_LABEL_BYTES} OR entry_id = ''`;

/** Texts of this size together are never too large as JSON. */
const SURELY_SMALL_BYTES = 1024 * 1024;

/** A condition that all entries fulfill that cannot be sent, and few others. */
export const SUSPICIOUS_SQL = [
  ...TEXT_FIELDS.map(
    (field) => `typeof(${field}) <> 'text' OR octet_length(${field}) > ${TEXT_LIMITS[field]}`,
  ),
  ...NUMBER_FIELDS.map((field) => `NOT ${isNumberSql(field)}`),
  `octet_length(cmd) + octet_length(cwd) > ${SURELY_SMALL_BYTES}`,
  "entry_id = ''",
].join(' OR ');

/** Converts and checks a row with the columns above. */
export function readRow(row: Readonly<Record<string, unknown>>): CheckedEntry {
  let decoded: Record<string, unknown> | undefined;
  for (const field of TEXT_FIELDS) {
    const value = row[field];
    if (typeof value === 'string') continue;
    if (typeof value === 'number') return tooLargeText(field);
    if (value instanceof Uint8Array) (decoded ??= { ...row })[field] = readText(value);
  }
  return checkEntry(decoded ?? row);
}

/** The text of a column above; any other value as it is. */
export function readText(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
}
