// `config` of the charts: the variables of the services, with their types and bounds.
import { describe, expect, test } from '@jest/globals';
import { variables as relayVariables } from '../../services/relay/config.ts';
import type { Variable } from '../../services/shared/variables.ts';
import { variables as trackerVariables } from '../../services/tracker/config.ts';
import {
  CASES,
  environment,
  podSpec,
  RELAY,
  render,
  renderCase,
  renderError,
  TRACKER,
  UMBRELLA,
  valueAt,
} from '../../testing/charts.ts';

type Table = Readonly<Record<string, Variable<unknown>>>;
type Given = Record<string, string | number | boolean>;

function inForm(form: 'native' | 'text', value: number): number | string {
  return form === 'native' ? value : String(value);
}

/** Variables that neither the chart nor values may set, because they contradict other settings of the chart. */
const EXCLUDED = ['RELAY_LOCAL', 'RELAY_IDENTITY_KEY_FILE', 'RELAY_IDENTITY_ORDINAL'];

/** Variables that the chart sets and `config` may override. */
const DEFAULTS = [
  'TRACKER_LISTEN',
  'TRACKER_OPS_LISTEN',
  'TRACKER_PATH_PREFIX',
  'TRACKER_STAR',
  'RELAY_LISTEN',
  'RELAY_OPS_LISTEN',
];

/** The names of all variables of the service in any of the `ci` cases, without those of `config`. */
async function variablesOfChart(chart: string, name: string): Promise<Set<string>> {
  const found = new Set<string>();
  const cases = CASES.filter((candidate) => [chart, UMBRELLA].includes(candidate.chart));
  // At the same time: one after the other they would reach the deadline of the test on a busy machine.
  const releases = await Promise.all(cases.map(renderCase));
  for (const [index, one] of cases.entries()) {
    const values = one.chart === UMBRELLA ? valueAt(one.values, name) : one.values;
    const config = new Set([...Object.keys(valueAt(values, 'config') ?? {}), ...DEFAULTS]);
    for (const object of releases[index]?.objects ?? []) {
      if (valueAt(podSpec(object), 'containers', 0, 'name') !== name) continue;
      const variables = valueAt(podSpec(object), 'containers', 0, 'env') as ReadonlyArray<{ name: string }>;
      for (const variable of variables) if (!config.has(variable.name)) found.add(variable.name);
    }
  }
  return found;
}

/** The variables of one type, each with the value that `choose` returns for its schema. */
function valuesOf<T extends Variable<unknown>['schema']['type']>(
  table: Table,
  names: readonly string[],
  type: T,
  choose: (
    schema: Extract<Variable<unknown>['schema'], { type: T }>,
  ) => string | number | boolean | undefined,
): Given {
  const given: Given = {};
  for (const name of names) {
    const schema = table[name]?.schema;
    if (schema?.type !== type) continue;
    const value = choose(schema as Extract<Variable<unknown>['schema'], { type: T }>);
    if (value !== undefined) given[name] = value;
  }
  return given;
}

describe.each<{ chart: string; name: string; kind: string; table: Table }>([
  { chart: TRACKER, name: 'tracker', kind: 'Deployment', table: trackerVariables },
  { chart: RELAY, name: 'relay', kind: 'StatefulSet', table: relayVariables },
])('config of the $name', ({ chart, name, kind, table }) => {
  /** What values may set: all variables of the service that the chart does not set. */
  async function accepted(): Promise<string[]> {
    const own = await variablesOfChart(chart, name);
    return Object.keys(table).filter((variable) => !own.has(variable) && !EXCLUDED.includes(variable));
  }

  /** Every value of `given` must be in the error. */
  async function expectRejected(given: Given): Promise<void> {
    expect(Object.keys(given).length).toBeGreaterThan(0);
    const error = await renderError(chart, { config: given });
    const missing = Object.keys(given).filter((variable) => !error.includes(`/config/${variable}'`));
    expect(missing).toEqual([]);
  }

  test('sets only variables of the service', async () => {
    const known = new Set([...Object.keys(table), 'NODE_EXTRA_CA_CERTS']);
    const unknown = [...(await variablesOfChart(chart, name))].filter((variable) => !known.has(variable));
    expect(unknown).toEqual([]);
  });

  test.each(['native', 'text'] as const)(
    'passes the default of every variable, as a %s value',
    async (form) => {
      const defaults: Record<string, string> = {};
      const config: Given = {};
      for (const variable of await accepted()) {
        const { fallback, schema } = table[variable] ?? {};
        if (fallback === undefined || schema === undefined) continue;
        defaults[variable] = fallback;
        const isNative = form === 'native' && schema.type !== 'string';
        config[variable] = isNative ? (JSON.parse(fallback) as number | boolean) : fallback;
      }
      expect(environment((await render(chart, { config })).only(kind))).toMatchObject(defaults);
    },
  );

  test('rejects variables that the chart sets itself', async () => {
    for (const variable of [...(await variablesOfChart(chart, name)), ...EXCLUDED].filter(
      (one) => one in table,
    ))
      expect(await renderError(chart, { config: { [variable]: 'x' } })).toContain(
        `'${variable}' not allowed`,
      );
  });

  test('rejects a number for a boolean variable', async () => {
    await expectRejected(valuesOf(table, await accepted(), 'boolean', () => 7));
  });

  test('rejects text for an integer variable', async () => {
    await expectRejected(valuesOf(table, await accepted(), 'integer', () => 'many'));
  });

  test.each(['native', 'text'] as const)(
    'rejects an integer below its minimum, as a %s value',
    async (form) => {
      const below = valuesOf(table, await accepted(), 'integer', ({ minimum }) => inForm(form, minimum - 1));
      await expectRejected(below);
    },
  );

  test.each(['native', 'text'] as const)(
    'rejects an integer above its maximum, as a %s value',
    async (form) => {
      const above = valuesOf(table, await accepted(), 'integer', ({ maximum }) =>
        maximum < Number.MAX_SAFE_INTEGER ? inForm(form, maximum + 1) : undefined,
      );
      await expectRejected(above);
    },
  );

  test('rejects an unknown log level', async () => {
    await expectRejected({ LOG_LEVEL: 'loud' });
  });
});
