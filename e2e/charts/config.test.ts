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

/** Variables that neither the chart sets nor values may set: they contradict what the chart sets. */
const EXCLUDED = ['RELAY_LOCAL', 'RELAY_IDENTITY_KEY_FILE', 'RELAY_IDENTITY_ORDINAL'];

/** The names of all variables of the service in any of the `ci` cases, without those of `config`. */
async function variablesOfChart(chart: string, name: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const one of CASES.filter((candidate) => [chart, UMBRELLA].includes(candidate.chart))) {
    const values = one.chart === UMBRELLA ? valueAt(one.values, name) : one.values;
    const config = Object.keys(valueAt(values, 'config') ?? {});
    for (const object of (await renderCase(one)).objects) {
      if (valueAt(podSpec(object), 'containers', 0, 'name') !== name) continue;
      const variables = valueAt(podSpec(object), 'containers', 0, 'env') as ReadonlyArray<{ name: string }>;
      for (const variable of variables) if (!config.includes(variable.name)) found.add(variable.name);
    }
  }
  return found;
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
});
