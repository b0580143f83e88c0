// One command of the shell history: as the store holds it, and as it travels. Everything that comes from outside
// passes through here before it reaches the database.
import { describeError } from '../../shared/errors.ts';

/** An entry as the store holds it, named as in the database and on the wire; `ts` is in unix seconds. */
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
 * The time as the Rust `time` crate writes it: year, day of the year, hour, minute, second, nanosecond, then the
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

export type WireEntry = Omit<Entry, 'ts'> & { readonly ts: WireTime };

/** Longest command or directory, in bytes: a quarter of the largest response, because JSON may double its length. */
export const MAX_COMMAND_BYTES = 8 * 1024 * 1024;

/** Longest of the other texts (ids, shell, host name, version), in bytes. */
export const MAX_LABEL_BYTES = 4096;

const MAX_I32 = 2 ** 31 - 1;

/** Least and greatest value of each part of a wire time; the years are those that `Date` and the crate both hold. */
const TIME_BOUNDS: ReadonlyArray<readonly [name: string, min: number, max: number]> = [
  ['year', -9999, 9999],
  ['day of the year', 1, 366],
  ['hour', 0, 23],
  ['minute', 0, 59],
  // The crate has no leap seconds.
  ['second', 0, 59],
  ['nanosecond', 0, 999_999_999],
  ['offset hours', -25, 25],
  ['offset minutes', -59, 59],
  ['offset seconds', -59, 59],
];

const DAY_MS = 86_400_000;

/** Thrown for an entry that breaks the contract; says which one of a list, and why. */
export class BadEntryError extends Error {
  override readonly name = 'BadEntryError';
  readonly code = 'BAD_ENTRY';
  /** Position in the list it came in. */
  readonly index: number;

  constructor(index: number, reason: string) {
    super(`entry ${index} of the batch ${reason}; nothing of the batch was stored`);
    this.index = index;
  }
}

/** An entry as it travels. */
export function toWire(entry: Entry): WireEntry {
  const { entry_id, device_id, user_id, ts, ...rest } = entry;
  return { entry_id, device_id, user_id, ts: toWireTime(ts), ...rest };
}

/**
 * Reads the entries of a message; fields that only newer peers know are left out.
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
  if (typeof value !== 'object' || value === null) throw new Error('is no object');
  const fields = value as Record<string, unknown>;
  const entryId = readText(fields, 'entry_id', MAX_LABEL_BYTES);
  if (entryId === '') throw new Error('has an empty entry_id');
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

function readText(fields: Record<string, unknown>, name: string, maxBytes: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new Error(`has no text in ${name}`);
  // A character takes at most three bytes of UTF-8 for each of its UTF-16 units, so short texts need no count.
  if (value.length * 3 > maxBytes && Buffer.byteLength(value) > maxBytes)
    throw new Error(`has more than ${maxBytes} bytes in ${name}`);
  if (!value.isWellFormed()) throw new Error(`has text in ${name} that is no Unicode`);
  return value;
}

function readInteger(fields: Record<string, unknown>, name: string, min: number, max: number): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw new Error(`has no whole number from ${min} to ${max} in ${name}`);
  return value;
}

function toWireTime(seconds: number): WireTime {
  const time = new Date(seconds * 1000);
  const year = time.getUTCFullYear();
  const ordinal = Math.floor((time.getTime() - startOfYear(year)) / DAY_MS) + 1;
  return [year, ordinal, time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds(), 0, 0, 0, 0];
}

function fromWireTime(value: unknown): number {
  if (!Array.isArray(value) || value.length !== TIME_BOUNDS.length)
    throw new Error(`has no array of ${TIME_BOUNDS.length} numbers in ts`);
  const parts = value.map((part: unknown, position) => {
    const [name, min, max] = TIME_BOUNDS[position] ?? ['part', 0, 0];
    if (typeof part !== 'number' || !Number.isInteger(part) || part < min || part > max)
      throw new Error(`has no ${name} from ${min} to ${max} in ts`);
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
  const days = startOfYear(year) / 1000 + (ordinal - 1) * (DAY_MS / 1000);
  return days + (hour - offsetHours) * 3600 + (minute - offsetMinutes) * 60 + second - offsetSeconds;
}

/** Midnight of January 1st, in unix milliseconds. `Date.UTC` would read the years 0 to 99 as 1900 to 1999. */
function startOfYear(year: number): number {
  return new Date(0).setUTCFullYear(year, 0, 1);
}
