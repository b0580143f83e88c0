// The statistics of the report. All functions are pure.

/** Median, minimum and maximum of the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The value below which a share of the values lies, by the nearest rank. @throws RangeError without values */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('A quantile requires at least one value.');
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** The mean of the two middle values when their number is even. @throws RangeError without values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('A median requires at least one value.');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** `undefined` without values. */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  };
}

/** Values by round; `null` where the round has none. */
export type Rounds = ReadonlyArray<number | null>;

/** The values that exist. */
export function present(rounds: Rounds): number[] {
  return rounds.filter((value) => value !== null);
}

/**
 * The ratio of each round in which both have a value. Ratios within a round are steadier than the ratio of the medians,
 * because what disturbs the machine disturbs both.
 */
export function ratios(ours: Rounds, theirs: Rounds): number[] {
  return ours.flatMap((value, round) => {
    const other = theirs[round];
    return value === null || other === null || other === undefined || other === 0 ? [] : [value / other];
  });
}
