// Tests that the dashboards of the charts are valid for Grafana, and that the services expose the data of all queries.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { HUB, RELAY, TRACKER } from '../../testing/charts.ts';
import { missingOf } from '../../testing/promql.ts';
import { metricsOf } from '../../testing/series.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly datasource: { readonly uid: string } }>;
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: ReadonlyArray<{ readonly name: string; readonly definition?: string }>;
  };
  readonly annotations: { readonly list: ReadonlyArray<{ readonly expr: string }> };
}

beforeAll(async () => void (await metricsOf()));

/** Replaces the variables of Grafana. */
function withVariables(expression: string): string {
  return expression.replaceAll('$__rate_interval', '4m').replaceAll(/\$(?:namespace|release|pod)\b/g, '.*');
}

function overlap(a: Panel['gridPos'], b: Panel['gridPos']): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

describe.each([
  { chart: TRACKER, file: 'tracker.json' },
  { chart: RELAY, file: 'relay.json' },
  { chart: HUB, file: 'hub.json' },
])('$file', ({ chart, file }) => {
  const text = readFileSync(`${chart}/files/dashboards/${file}`, 'utf8');
  const dashboard = JSON.parse(text) as Dashboard;
  const shown = dashboard.panels.filter(({ type }) => type !== 'row');

  test('queries only metrics that the services expose, in panels and annotations', async () => {
    const expressions = shown.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
    expect(expressions.length).toBeGreaterThan(20);
    for (const expr of [...expressions, ...dashboard.annotations.list.map((annotation) => annotation.expr)])
      expect([expr, await missingOf(withVariables(expr))]).toEqual([expr, []]);
  });

  test('queries only the selected data source', () => {
    for (const { datasource, targets = [] } of shown)
      for (const source of [datasource, ...targets.map((target) => target.datasource)])
        expect(source?.uid).toBe('${datasource}');
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual([
      'datasource',
      'namespace',
      'release',
      'pod',
    ]);
  });

  test('has panels with descriptions that do not overlap', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const { title, description } of shown)
      expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)]);
    for (const [index, panel] of dashboard.panels.entries())
      for (const other of dashboard.panels.slice(index + 1))
        expect([panel.title, other.title, overlap(panel.gridPos, other.gridPos)]).toEqual([
          panel.title,
          other.title,
          false,
        ]);
  });

  test('counts no device twice: all replicas report the same registry', () => {
    const expressions = shown.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
    for (const expr of expressions) {
      const counts = /rustory_tracker_(?:live_peers|circuit_peers|circuits_listed|single_device_users)\{/g;
      for (const { index } of expr.matchAll(counts))
        expect([expr, expr.slice(0, index)]).toEqual([
          expr,
          expect.stringMatching(/max by \(namespace, release\) \($/),
        ]);
    }
  });

  test('shows every metric of docs/metrics.md', () => {
    const prefix = `rustory_${file.replace('.json', '')}_`;
    const documented = readFileSync('docs/metrics.md', 'utf8').matchAll(/`(rustory_[a-z_]+)/g);
    const ours = new Set(
      [...documented].map(([, name = '']) => name).filter((name) => name.startsWith(prefix)),
    );
    expect(ours.size).toBeGreaterThan(8);
    expect([...ours].filter((name) => !text.includes(name))).toEqual([]);
  });
});
