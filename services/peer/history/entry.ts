// One entry of the shell history, in the store and on the wire. Every entry from a peer is validated here before it
// reaches the database.
import { describeError } from '../../shared/errors.ts';

/** An entry in the store. The names are those of the database and of the wire; `ts` is in Unix seconds. */
export interface Entry {
  readonly entry_id: string;
  readonly device_id: string;
  readonly user_id: string;
  readonly ts: number;
  readonly cmd: string;
  readonly cwd: string;
  readonly exit_code: number;
  readonly duration_ms: number;
  readonly shell: string;
  readonly hostname: string;
  readonly version: string;
}

/**
 * A time as the Rust `time` crate serializes it: year, day of the year, hour, minute, second, nanosecond, then the
 * offset from UTC in hours, minutes and seconds.
 */
export type WireTime = readonly [
  year: number,
  ordinal: number,
  hour: number,
  minute: number,
  second: number,
  nanosecond: number,
  offsetHours: number,
  offsetMinutes: number,
  offsetSeconds: number,
];

/** An entry on the wire. */
export type WireEntry = Omit<Entry, 'ts'> & { readonly ts: WireTime };

/** Maximum size of a command and of a directory in bytes: a quarter of the largest response, as JSON may double it. */
const MAX_COMMAND_BYTES = 8 * 1024 * 1024;

/** Maximum size of the other texts (ids, shell, host name, version) in bytes. */
export const MAX_LABEL_BYTES = 4096;

const MAX_I32 = 2 ** 31 - 1;

/** Range of each element of a wire time. The years are those that both `Date` and the crate support. */
const TIME_BOUNDS: ReadonlyArray<readonly [name: string, min: number, max: number]> = [
  ['year', -9999, 9999],
  ['day of the year', 1, 366],
  ['hour', 0, 23],
  ['minute', 0, 59],
  // The crate does not support leap seconds.
  ['second', 0, 59],
  ['nanosecond', 0, 999_999_999],
  ['offset hours', -25, 25],
  ['offset minutes', -59, 59],
  ['offset seconds', -59, 59],
];

const DAY_MS = 86_400_000;

/** An entry from a peer is not valid. */
export class BadEntryError extends Error {
  override readonly name = 'BadEntryError';
  readonly code = 'BAD_ENTRY';
  /** Position of the entry in its list. */
  readonly index: number;

  constructor(index: number, reason: string) {
    super(`Entry ${index} of the batch is not valid: ${reason}. No entry of the batch was stored.`);
    this.index = index;
  }
}

/** Converts an entry for the wire. */
export function toWire(entry: Entry): WireEntry {
  const { entry_id, device_id, user_id, ts, ...rest } = entry;
  return { entry_id, device_id, user_id, ts: toWireTime(ts), ...rest };
}

/**
 * Validates the entries of a message. Unknown fields are dropped.
 *
 * @throws BadEntryError for the first entry with a missing, mistyped or oversized field.
 */
export function fromWire(values: readonly unknown[]): Entry[] {
  return values.map((value, index) => {
    try {
      return readEntry(value);
    } catch (error) {
      throw new BadEntryError(index, describeError(error));
    }
  });
}

function readEntry(value: unknown): Entry {
  if (typeof value !== 'object' || value === null) throw new Error('The entry is not an object.');
  const fields = value as Record<string, unknown>;
  const entryId = readText(fields, 'entry_id', MAX_LABEL_BYTES);
  if (entryId === '') throw new Error('The field entry_id is empty.');
  return {
    entry_id: entryId,
    device_id: readText(fields, 'device_id', MAX_LABEL_BYTES),
    user_id: readText(fields, 'user_id', MAX_LABEL_BYTES),
    ts: fromWireTime(fields['ts']),
    cmd: readText(fields, 'cmd', MAX_COMMAND_BYTES),
    cwd: readText(fields, 'cwd', MAX_COMMAND_BYTES),
    exit_code: readInteger(fields, 'exit_code', -MAX_I32 - 1, MAX_I32),
    duration_ms: readInteger(fields, 'duration_ms', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    shell: readText(fields, 'shell', MAX_LABEL_BYTES),
    hostname: readText(fields, 'hostname', MAX_LABEL_BYTES),
    version: readText(fields, 'version', MAX_LABEL_BYTES),
  };
}

/** Whether a value from a peer is a valid id or another short text. */
export function isLabel(value: unknown): value is string {
  return typeof value === 'string' && fits(value, MAX_LABEL_BYTES) && value.isWellFormed();
}

function readText(fields: Record<string, unknown>, name: string, maxBytes: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new Error(`The field ${name} must be text.`);
  if (!fits(value, maxBytes)) throw new Error(`The field ${name} is larger than ${maxBytes} bytes.`);
  if (!value.isWellFormed()) throw new Error(`The field ${name} is not well-formed Unicode.`);
  return value;
}

function fits(text: string, maxBytes: number): boolean {
  // A UTF-16 code unit has at most three bytes in UTF-8, so the size of a short text need not be computed.
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes;
}

function readInteger(fields: Record<string, unknown>, name: string, min: number, max: number): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw new Error(`The field ${name} must be an integer from ${min} to ${max}.`);
  return value;
}

function toWireTime(seconds: number): WireTime {
  const time = new Date(seconds * 1000);
  const year = time.getUTCFullYear();
  const ordinal = Math.floor((time.getTime() - startOfYearMs(year)) / DAY_MS) + 1;
  return [year, ordinal, time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds(), 0, 0, 0, 0];
}

function fromWireTime(value: unknown): number {
  if (!Array.isArray(value) || value.length !== TIME_BOUNDS.length)
    throw new Error(`The field ts must be an array of ${TIME_BOUNDS.length} numbers.`);
  const parts = value.map((part: unknown, position) => {
    const [name, min, max] = TIME_BOUNDS[position] ?? ['part', 0, 0];
    if (typeof part !== 'number' || !Number.isInteger(part) || part < min || part > max)
      throw new Error(`The ${name} in ts must be an integer from ${min} to ${max}.`);
    return part;
  });
  const [
    year = 0,
    ordinal = 0,
    hour = 0,
    minute = 0,
    second = 0,
    ,
    offsetHours = 0,
    offsetMinutes = 0,
    offsetSeconds = 0,
  ] = parts;
  const days = startOfYearMs(year) / 1000 + (ordinal - 1) * (DAY_MS / 1000);
  return days + (hour - offsetHours) * 3600 + (minute - offsetMinutes) * 60 + second - offsetSeconds;
}

/** Midnight of January 1st in Unix milliseconds. `Date.UTC` would read the years 0 to 99 as 1900 to 1999. */
function startOfYearMs(year: number): number {
  return new Date(0).setUTCFullYear(year, 0, 1);
}
