// Log lines about what other devices do wrong. A port scan or a misconfigured device repeats itself, so each kind of
// line is written a limited number of times per minute, once per device if the device is known, and the first line
// afterwards has the number of dropped lines.
import { monotonicMs } from './clock.ts';
import type { Logger } from './log.ts';

const MINUTE_MS = 60_000;

export interface LimitedLogOptions {
  readonly log: Logger;
  /** Maximum lines of one kind per minute. */
  readonly perMinute: number;
  /** Default `info`. */
  readonly level?: 'info' | 'warn';
  /** Monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
}

/**
 * Writes a line. Above the limit of its kind the line is dropped, and the next line that is written has the
 * field `dropped`: the number of lines of this kind that were dropped before it.
 *
 * @param subject the device that the line is about, such as its peer id or address. When it is given, only its first
 *   line of the kind in a minute is written, so that a device that repeats its mistake does not hide other devices.
 */
export type LimitedLog<Kind extends string> = (
  kind: Kind,
  fields: Readonly<Record<string, unknown>>,
  message: string,
  subject?: string,
) => void;

/** The lines of one kind in the current minute. */
interface Window {
  startedAtMs: number;
  lines: number;
  dropped: number;
  /** Subjects of the written lines; at most one for each line. */
  readonly subjects: Set<string>;
}

/** @typeParam Kind the kinds of lines: a fixed list, such as the reasons of a refusal, never a value from a client */
export function createLimitedLog<Kind extends string>({
  log,
  perMinute,
  level = 'info',
  nowMs = monotonicMs,
}: LimitedLogOptions): LimitedLog<Kind> {
  const windows = new Map<Kind, Window>();

  return (kind, fields, message, subject) => {
    const currentMs = nowMs();
    let window = windows.get(kind);
    if (window === undefined) {
      window = { startedAtMs: currentMs, lines: 0, dropped: 0, subjects: new Set() };
      windows.set(kind, window);
    }
    if (currentMs - window.startedAtMs >= MINUTE_MS) {
      window.startedAtMs = currentMs;
      window.lines = 0;
      window.subjects.clear();
    }
    if (window.lines >= perMinute || (subject !== undefined && window.subjects.has(subject))) {
      window.dropped += 1;
      return;
    }
    const { dropped } = window;
    window.lines += 1;
    window.dropped = 0;
    if (subject !== undefined) window.subjects.add(subject);
    log[level](dropped === 0 ? fields : { ...fields, dropped }, message);
  };
}
