// Whether the goals of a table are reached.
import type { Goal, Table } from './benchmark.ts';
import type { RowResult, TableResult } from './result.ts';
import { present, ratios, type Spread, spread } from './statistics.ts';

export interface Verdict {
  readonly goal: Goal;
  readonly case: string;
  /** `undefined` when a row of the goal was not measured. */
  readonly figure: Spread | undefined;
  readonly isReached: boolean | undefined;
}

/** One verdict for each goal and case, in the order of the goals. */
export function verdictsOf(table: Table, result: TableResult): Verdict[] {
  return table.goals.flatMap((goal) =>
    casesOf(table, goal).map((name): Verdict => {
      const figure = figureOf(goal, name, result.rows);
      return { goal, case: name, figure, isReached: isReached(goal, figure) };
    }),
  );
}

function casesOf(table: Table, goal: Goal): readonly string[] {
  return (
    goal.cases ?? [
      ...new Set(table.runs.filter(({ variant }) => variant === goal.variant).map((run) => run.case)),
    ]
  );
}

function figureOf(goal: Goal, name: string, rows: readonly RowResult[]): Spread | undefined {
  const values = (variant: string): RowResult['values'][string] =>
    rows.find((row) => row.case === name && row.variant === variant)?.values[goal.column] ?? [];
  const ours = values(goal.variant);
  return spread(goal.against === undefined ? present(ours) : ratios(ours, values(goal.against)));
}

function isReached(
  { atMost = Infinity, atLeast = -Infinity }: Goal,
  figure: Spread | undefined,
): boolean | undefined {
  return figure === undefined ? undefined : figure.median <= atMost && figure.median >= atLeast;
}
