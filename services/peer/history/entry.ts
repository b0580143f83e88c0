// One entry of the shell history, in the store and on the wire. `entry-rules.ts` has the rules for its fields.
import { type CheckedEntry, checkEntry, invalid } from './entry-rules.ts';

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

/** Converts an entry for the wire. */
export function toWire(entry: Entry): WireEntry {
  const { entry_id, device_id, user_id, ts, ...rest } = entry;
  return { entry_id, device_id, user_id, ts: toWireTime(ts), ...rest };
}

/** Checks an entry from a peer. Unknown fields are dropped, and the time is converted to UTC without nanoseconds. */
export function fromWire(value: unknown): CheckedEntry {
  if (typeof value !== 'object' || value === null) return invalid('entry', 'The entry is not an object.');
  const time = fromWireTime((value as Record<string, unknown>)['ts']);
  if (typeof time === 'string') return invalid('ts', time);
  return checkEntry({ ...value, ts: time });
}

function toWireTime(seconds: number): WireTime {
  const time = new Date(seconds * 1000);
  const year = time.getUTCFullYear();
  const ordinal = Math.floor((time.getTime() - startOfYearMs(year)) / DAY_MS) + 1;
  return [year, ordinal, time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds(), 0, 0, 0, 0];
}

/** The time in Unix seconds, or a sentence that says why it is not valid. */
function fromWireTime(value: unknown): number | string {
  if (!Array.isArray(value) || value.length !== TIME_BOUNDS.length)
    return `The field ts must be an array of ${TIME_BOUNDS.length} numbers.`;
  const parts: number[] = [];
  for (const [position, [name, min, max]] of TIME_BOUNDS.entries()) {
    const part: unknown = value[position];
    if (typeof part !== 'number' || !Number.isInteger(part) || part < min || part > max)
      return `The ${name} in ts must be an integer from ${min} to ${max}.`;
    parts.push(part);
  }
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
