// The rules for entries. Every entry that enters is checked here after it was normalized, whether it comes from a peer, a
// history file or a shell hook, and every stored entry before it is sent: what is accepted can be sent to any device, and
// any device can store it.
import { type Refused, refused, type Result } from '../../shared/result.ts';
import type { Entry } from './entry.ts';

/** Maximum size of a command and of a directory in bytes. No command line of a person comes near it. */
export const MAX_COMMAND_BYTES = 8 * 1024 * 1024;

/** Maximum size of the other texts (ids, shell, host name, version) in bytes. */
export const MAX_LABEL_BYTES = 4096;

/**
 * Maximum size of an entry as JSON in bytes, where one byte of a text can become six. It fits into each message that
 * carries entries, even if that is not compressed. The smallest one is the push of `rr`: 16 MiB, of which 1 KiB is for the
 * fields around the entry.
 */
export const MAX_ENTRY_JSON_BYTES = 16 * 1024 * 1024 - 1024;

/** A control character becomes `\u0000`; no character becomes longer. */
const MAX_JSON_BYTES_PER_UNIT = 6;

/** The names of the fields, the numbers and the quotes of an entry as JSON, rounded up. */
const JSON_OVERHEAD_BYTES = 512;

const MAX_I32 = 2 ** 31 - 1;

/** The years that the Rust `time` crate supports in UTC: -9999 to 9999, in Unix seconds. */
const [MIN_TS, MAX_TS] = [-377_705_116_800, 253_402_300_799];

/** Maximum size of each text in bytes. */
export const TEXT_LIMITS = {
  entry_id: MAX_LABEL_BYTES,
  device_id: MAX_LABEL_BYTES,
  user_id: MAX_LABEL_BYTES,
  cmd: MAX_COMMAND_BYTES,
  cwd: MAX_COMMAND_BYTES,
  shell: MAX_LABEL_BYTES,
  hostname: MAX_LABEL_BYTES,
  version: MAX_LABEL_BYTES,
} as const satisfies Partial<Record<keyof Entry, number>>;

/** Range of each number. `rr` has larger durations, which are not exact in JavaScript. */
export const NUMBER_LIMITS = {
  ts: [MIN_TS, MAX_TS],
  exit_code: [-MAX_I32 - 1, MAX_I32],
  duration_ms: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const satisfies Partial<Record<keyof Entry, readonly [min: number, max: number]>>;

// Tables that are read for each entry.
const TEXT_RULES = Object.entries(TEXT_LIMITS) as ReadonlyArray<readonly [keyof typeof TEXT_LIMITS, number]>;
const NUMBER_RULES = Object.entries(NUMBER_LIMITS) as ReadonlyArray<
  readonly [keyof typeof NUMBER_LIMITS, readonly [min: number, max: number]]
>;

/** The field because of which an entry is not valid; `entry` for the entry as a whole. */
export type InvalidField = keyof Entry | 'entry';

/** Why an entry is not valid. The text is a whole sentence and contains no value of the entry. */
export type InvalidEntry = Refused<InvalidField> & { readonly text: string };

export type CheckedEntry = Result<{ readonly entry: Entry }, InvalidField, { readonly text: string }>;

/** An entry whose fields may have any value, with its time in Unix seconds. */
export type UncheckedEntry = { readonly [Field in keyof Entry]?: unknown };

/** Checks an entry. Unknown fields are dropped. */
export function checkEntry(unchecked: UncheckedEntry): CheckedEntry {
  const problem = findTextProblem(unchecked) ?? findNumberProblem(unchecked);
  if (problem !== undefined) return problem;
  const { entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version } =
    unchecked as Entry;
  const entry = {
    entry_id,
    device_id,
    user_id,
    ts,
    cmd,
    cwd,
    exit_code,
    duration_ms,
    shell,
    hostname,
    version,
  };
  if (entry_id === '') return invalid('entry_id', 'The field entry_id is empty.');
  if (isTooLargeAsJson(entry))
    return invalid('entry', `The entry is larger than ${MAX_ENTRY_JSON_BYTES} bytes as JSON.`);
  return { ok: true, entry };
}

export function invalid(field: InvalidField, text: string): InvalidEntry {
  return { ...refused(field), text };
}

export function tooLargeText(field: keyof typeof TEXT_LIMITS): InvalidEntry {
  return invalid(field, `The field ${field} is larger than ${TEXT_LIMITS[field]} bytes.`);
}

/** Whether a value is a valid id or another short text. */
export function isLabel(value: unknown): value is string {
  return typeof value === 'string' && fits(value, MAX_LABEL_BYTES) && value.isWellFormed();
}

function findTextProblem(unchecked: UncheckedEntry): InvalidEntry | undefined {
  for (const [field, maxBytes] of TEXT_RULES) {
    const value = unchecked[field];
    if (typeof value !== 'string') return invalid(field, `The field ${field} must be text.`);
    if (!fits(value, maxBytes)) return tooLargeText(field);
    if (!value.isWellFormed()) return invalid(field, `The field ${field} is not well-formed Unicode.`);
  }
  return undefined;
}

function findNumberProblem(unchecked: UncheckedEntry): InvalidEntry | undefined {
  for (const [field, [min, max]] of NUMBER_RULES) {
    const value = unchecked[field];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      return invalid(field, `The field ${field} must be an integer from ${min} to ${max}.`);
  }
  return undefined;
}

function fits(text: string, maxBytes: number): boolean {
  // A UTF-16 code unit has at most three bytes in UTF-8, so the size of a short text need not be computed.
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes;
}

function isTooLargeAsJson(entry: Entry): boolean {
  let units = 0;
  for (const [field] of TEXT_RULES) units += entry[field].length;
  if (units * MAX_JSON_BYTES_PER_UNIT + JSON_OVERHEAD_BYTES <= MAX_ENTRY_JSON_BYTES) return false;
  let bytes = JSON_OVERHEAD_BYTES;
  for (const [field] of TEXT_RULES) bytes += Buffer.byteLength(JSON.stringify(entry[field]));
  return bytes > MAX_ENTRY_JSON_BYTES;
}
