// The times of the commands of a history file: how they are written, and which time a command without one gets.

/** From this number on, a comment that consists of a number is a time for bash: 2001. bash writes times since 2004. */
const FIRST_STAMP = 1_000_000_000n;

/** Units in which programs write times, by the range of their numbers in this era. The divisor converts to seconds. */
const UNITS: ReadonlyArray<readonly [min: bigint, max: bigint, divisor: bigint]> = [
  [1n, 10n ** 10n, 1n],
  [10n ** 12n, 10n ** 13n, 10n ** 3n],
  [10n ** 15n, 10n ** 16n, 10n ** 6n],
  [10n ** 18n, 2n ** 63n, 10n ** 9n],
];

/** Converts a time in seconds, ms, µs or ns. `undefined` for other numbers, also zero and negative ones. */
export function readUnixSeconds(digits: string): number | undefined {
  if (!/^\+?\d{1,19}$/.test(digits)) return undefined;
  const value = BigInt(digits.replace('+', ''));
  const unit = UNITS.find(([min, max]) => value >= min && value < max);
  return unit === undefined ? undefined : Number(value / unit[2]);
}

/** The time in a line `#1700000000` of a bash file; `undefined` for a comment, also one such as `#443`. */
export function readStamp(digits: string): number | undefined {
  return /^\d{10,19}$/.test(digits) && BigInt(digits) >= FIRST_STAMP ? readUnixSeconds(digits) : undefined;
}

/** What the times of a file's commands depend on. */
export interface TimeSummary {
  /** The number of all commands. */
  readonly count: number;
  /** The number of commands before the first one with a time. */
  readonly countBeforeFirst: number;
  /** The time of the first command that has one. */
  readonly first: number | undefined;
}

export function summarizeTimes(
  commands: Iterable<{ readonly unixSeconds: number | undefined }>,
  maxCommands: number,
): TimeSummary {
  let count = 0;
  let countBeforeFirst = 0;
  let first: number | undefined;
  for (const { unixSeconds } of commands) {
    if (count === maxCommands)
      throw new Error(`The file has more than ${maxCommands} commands; divide it into smaller files`);
    count += 1;
    first ??= unixSeconds;
    if (first === undefined) countBeforeFirst += 1;
  }
  return { count, countBeforeFirst, first };
}

/**
 * Returns the function that gives each command, in order, its time. A command without a time gets that of the command
 * before it. Those before the first time end one second before it, and those of a file without times end at `lastUnixSeconds`;
 * they are one second apart.
 */
export function createDating(
  { count, countBeforeFirst, first }: TimeSummary,
  lastUnixSeconds: number,
): (unixSeconds: number | undefined) => number {
  let index = 0;
  let previous: number | undefined;
  return (unixSeconds) => {
    previous = unixSeconds ?? previous;
    const time =
      previous ??
      (first === undefined ? lastUnixSeconds - (count - 1 - index) : first - (countBeforeFirst - index));
    index += 1;
    return time;
  };
}
