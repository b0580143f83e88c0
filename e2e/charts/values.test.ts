// values.yaml, values.schema.json and the variables of the services match.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readValues } from '../../scripts/chart-readme.ts';
import { variables as relayVariables } from '../../services/relay/config.ts';
import { variables as trackerVariables } from '../../services/tracker/config.ts';
import { valueAt, CHARTS, environment, RELAY, render, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Paths of all properties of a schema, with `$ref` resolved. */
function schemaPaths(schema: unknown, root: unknown, prefix = ''): string[] {
  const reference = valueAt(schema, '$ref') as string | undefined;
  const resolved = reference === undefined ? schema : valueAt(root, ...reference.split('/').slice(1));
  return Object.entries(valueAt(resolved, 'properties') ?? {}).flatMap(([key, value]) =>
    [`${prefix}${key}`].concat(schemaPaths(value, root, `${prefix}${key}.`)),
  );
}

/** Values of subcharts, which have their own schemas. */
const OF_SUBCHARTS = /^(tracker|relay)\./;

describe.each(CHARTS)('%s', (chart) => {
  const { documented, undocumented } = readValues(read(`${chart}/values.yaml`));
  const schema: unknown = JSON.parse(read(`${chart}/values.schema.json`));

  test('documents every value', () => {
    expect(undocumented).toEqual([]);
    for (const { path, doc } of documented)
      expect([path, doc]).toEqual([path, expect.stringMatching(/[.`]$/)]);
  });

  test('has the same values in values.yaml and values.schema.json', () => {
    const paths = new Set(schemaPaths(schema, schema));
    expect(
      documented.map(({ path }) => path).filter((path) => !paths.has(path) && !OF_SUBCHARTS.test(path)),
    ).toEqual([]);
    const values: unknown = parse(read(`${chart}/values.yaml`));
    const missing = [...paths].filter(
      (path) =>
        valueAt(values, ...path.split('.')) === undefined &&
        // Objects for Kubernetes, and `global`, which other charts share.
        !/^(config|global)\.|(^|\.)(resources|podSecurityContext|securityContext|affinity|behavior)\./.test(
          path,
        ),
    );
    expect(missing).toEqual([]);
  });
});

describe.each([
  { chart: TRACKER, kind: 'Deployment', variables: trackerVariables },
  { chart: RELAY, kind: 'StatefulSet', variables: relayVariables },
])('config of $chart', ({ chart, kind, variables }) => {
  test('accepts every variable of the service that the chart does not set itself', async () => {
    const schema: unknown = JSON.parse(read(`${chart}/values.schema.json`));
    const accepted = Object.keys(valueAt(schema, 'properties', 'config', 'properties') as object);
    const text = globSync(join(ROOT, chart, 'templates/*.yaml'))
      .map((path) => readFileSync(path, 'utf8'))
      .join('');
    const own = new Set(Object.keys(variables).filter((name) => text.includes(`name: ${name}\n`)));
    // These would contradict what the chart sets.
    const fixed = /^RELAY_(LOCAL|IDENTITY_KEY_FILE|IDENTITY_ORDINAL)$/;
    const expected = Object.keys(variables).filter((name) => !own.has(name) && !fixed.test(name));
    expect(accepted.toSorted()).toEqual(expected.toSorted());
  });

  test('sets only variables of the service', async () => {
    const names = Object.keys(environment((await render(chart)).only(kind)));
    expect(names.filter((name) => !(name in variables))).toEqual([]);
  });
});

test('all charts have the version of the package', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  for (const chart of CHARTS)
    expect(parse(read(`${chart}/Chart.yaml`))).toMatchObject({ version, appVersion: version });
  const { dependencies } = parse(read(`${UMBRELLA}/Chart.yaml`)) as { dependencies: unknown[] };
  for (const dependency of dependencies) expect(dependency).toMatchObject({ version });
});
