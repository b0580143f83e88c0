// The columns that the tables of the tracker share, and the goals on them.
import type { Column, Goal, Sample } from '../benchmark.ts';
import { quantile } from '../statistics.ts';

/** Operations per second, which the load and the other cores of the machine limit too. @param against a variant */
export function rateColumn(against: string, key = 'rate'): Column {
  return {
    key,
    title: 'rate',
    unit: '1/s',
    digits: 0,
    against,
    read: ({ operations, seconds }) => operations / seconds,
  };
}

/** CPU time of the server for each operation. @param against a variant */
export function cpuColumn(against: string, key = 'cpu'): Column {
  return {
    key,
    title: 'CPU',
    unit: 'µs per request',
    digits: 1,
    against,
    read: ({ operations, cpuSeconds }) => (cpuSeconds * 1e6) / operations,
  };
}

/** CPU time of the server and of its Redis for each operation; nothing without Redis. */
export const REDIS_COLUMN: Column = {
  key: 'redis',
  title: 'CPU of Redis',
  unit: 'µs per request',
  digits: 1,
  read: ({ operations, figures }) => {
    const seconds = figures?.['redisSeconds'] ?? 0;
    return seconds === 0 ? undefined : (seconds * 1e6) / operations;
  },
};

export function latencyColumn(share: number, against?: string): Column {
  return {
    key: `p${share * 100}`,
    title: `p${share * 100}`,
    unit: 'ms',
    ...(against === undefined ? {} : { against }),
    read: ({ latenciesMs = [] }: Sample) =>
      latenciesMs.length === 0 ? undefined : quantile(latenciesMs, share),
  };
}

/** A figure that only this benchmark has. */
export function figureColumn(key: string, title: string, unit: string, digits = 1, against?: string): Column {
  return {
    key,
    title,
    unit,
    digits,
    ...(against === undefined ? {} : { against }),
    read: ({ figures }) => figures?.[key],
  };
}

export interface SpeedGoalOptions extends Pick<Goal, 'note'> {
  /** Keys of the columns with the ratios. */
  readonly columns?: readonly [rate: string, cpu: string];
}

/** The share of the speed of another variant that ours must reach, in requests per second and in CPU time per request. */
export function speedGoals(
  atLeast: number,
  against: string,
  cases: readonly string[],
  { columns: [rate, cpu] = ['rate', 'cpu'], ...note }: SpeedGoalOptions = {},
): Goal[] {
  const goal = { variant: 'ours', against, cases, ...note };
  return [
    { ...goal, column: rate, atLeast },
    { ...goal, column: cpu, atMost: 1 / atLeast },
  ];
}
