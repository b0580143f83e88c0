// values.yaml and values.schema.json of each chart match.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readValues } from '../../scripts/chart-readme.ts';
import { CHARTS, UMBRELLA, valueAt } from '../../testing/charts.ts';

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
const OF_SUBCHARTS = /^(tracker|relay|hub)\./;

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

test('all charts have the version of the package', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  for (const chart of CHARTS)
    expect(parse(read(`${chart}/Chart.yaml`))).toMatchObject({ version, appVersion: version });
  const { dependencies } = parse(read(`${UMBRELLA}/Chart.yaml`)) as { dependencies: unknown[] };
  for (const dependency of dependencies) expect(dependency).toMatchObject({ version });
});
