// Entries: with the time in unix seconds in files and on the screen, and as the Rust `time` crate writes it on the wire.
import { readFileSync } from 'node:fs';

const DAY_MS = 86_400_000;

export type Fields = Readonly<Record<string, unknown>> & { readonly ts: unknown };

export function readEntries(path: string | undefined): Fields[] {
  return path === undefined ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Fields[]);
}

/** Year, day of the year, hour, minute, second, nanosecond, offset hours, minutes, seconds. */
export function toWire(entry: Fields): Fields {
  const at = new Date(Number(entry.ts) * 1000);
  const year = at.getUTCFullYear();
  const day = Math.floor((at.getTime() - Date.UTC(year, 0, 1)) / DAY_MS) + 1;
  const time = [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()];
  return { ...entry, ts: [year, day, ...time, 0, 0, 0, 0] };
}

export function fromWire(entry: Fields): Fields {
  const [year, day, hour, minute, second, , hours, minutes, seconds] = entry.ts as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offset = hours * 3600 + minutes * 60 + seconds;
  return { ...entry, ts: Date.UTC(year, 0, day, hour, minute, second) / 1000 - offset };
}
