// Converts entries: files and output have the time in Unix seconds, the wire has the format of the Rust `time` crate.
import { readFileSync } from 'node:fs';

const DAY_MS = 86_400_000;

export type Fields = Readonly<Record<string, unknown>> & { readonly ts: unknown };

export function readEntries(path: string | undefined): Fields[] {
  return path === undefined ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Fields[]);
}

/** Year, day of the year, hour, minute, second, nanosecond, offset hours, minutes, seconds. */
export function toWire(entry: Fields): Fields {
  const date = new Date(Number(entry.ts) * 1000);
  const year = date.getUTCFullYear();
  const day = Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / DAY_MS) + 1;
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
  return { ...entry, ts: [year, day, ...time, 0, 0, 0, 0] };
}

export function fromWire(entry: Fields): Fields {
  const [year = 0, day = 0, hour, minute, second, , hours = 0, minutes = 0, seconds = 0] =
    entry.ts as number[];
  const offset = hours * 3600 + minutes * 60 + seconds;
  return { ...entry, ts: Date.UTC(year, 0, day, hour, minute, second) / 1000 - offset };
}
