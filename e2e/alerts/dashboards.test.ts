// The dashboards that the charts install, as Grafana reads them and as the services can fill them.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { RELAY, render, TRACKER } from '../../testing/charts.ts';
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

/** The services start, and helm renders, once for all tests; on a busy machine that takes a while. */
const START_MS = 60_000;

beforeAll(async () => void (await metricsOf()), START_MS);

/** What Grafana puts in for its variables. */
function filledIn(expression: string): string {
  return expression.replaceAll('$__rate_interval', '4m').replaceAll(/\$(?:namespace|pod)\b/g, '.*');
}

function overlap(a: Panel['gridPos'], b: Panel['gridPos']): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

describe.each([
  { chart: TRACKER, file: 'tracker.json' },
  { chart: RELAY, file: 'relay.json' },
])('$file', ({ chart, file }) => {
  const text = readFileSync(`${chart}/files/dashboards/${file}`, 'utf8');
  const dashboard = JSON.parse(text) as Dashboard;
  const shown = dashboard.panels.filter(({ type }) => type !== 'row');

  test('is installed as it is', async () => {
    const release = await render(chart, { dashboards: { enabled: true } });
    const { data } = release.only('ConfigMap') as unknown as { data: Record<string, string> };
    expect(data[file]?.trim()).toBe(text.trim());
  });

  test('asks only for what the services show, in panels and annotations', async () => {
    const expressions = shown.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
    expect(expressions.length).toBeGreaterThan(20);
    for (const expr of [...expressions, ...dashboard.annotations.list.map((annotation) => annotation.expr)])
      expect([expr, await missingOf(filledIn(expr))]).toEqual([expr, []]);
  });

  test('reads from the data source that is chosen, and from no other', () => {
    for (const { datasource, targets = [] } of shown)
      for (const source of [datasource, ...targets.map((target) => target.datasource)])
        expect(source?.uid).toBe('${datasource}');
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'namespace', 'pod']);
  });

  test('has panels that explain themselves, and do not lie on each other', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const { title, description } of shown)
      expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)]);
    for (const [at, panel] of dashboard.panels.entries())
      for (const other of dashboard.panels.slice(at + 1))
        expect([panel.title, other.title, overlap(panel.gridPos, other.gridPos)]).toEqual([
          panel.title,
          other.title,
          false,
        ]);
  });

  test('shows every metric that docs/metrics.md explains', () => {
    const prefix = chart === TRACKER ? 'rustory_tracker_' : 'rustory_relay_';
    const explained = readFileSync('docs/metrics.md', 'utf8').matchAll(/`(rustory_[a-z_]+)/g);
    const ours = new Set(
      [...explained].map(([, name = '']) => name).filter((name) => name.startsWith(prefix)),
    );
    expect(ours.size).toBeGreaterThan(8);
    expect([...ours].filter((name) => !text.includes(name))).toEqual([]);
  });
});
