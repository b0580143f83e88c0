// Requirements for every values file in the `ci` directories of the charts.
import { describe, expect, test } from '@jest/globals';
import {
  valueAt,
  CASES,
  CHARTS,
  helm,
  HUB_TOKENS,
  podSpec,
  render,
  renderCase,
  UMBRELLA,
} from '../../testing/charts.ts';
import { problemsOf } from '../../testing/kubernetes-schema.ts';

const cases = CASES.map((one) => [`${one.chart.split('/').at(-1)} ${one.name}`, one] as const);

test.each(CHARTS)('%s passes helm lint', async (chart) => {
  const { code, stdout, stderr } = await helm(['lint', '--strict', chart]);
  expect(`${stdout}${stderr}`).not.toMatch(/\[(WARNING|ERROR)\]/);
  expect(code).toBe(0);
});

test('object names are unique and short enough with the longest release name', async () => {
  const args = ['template', 'r'.repeat(53), UMBRELLA, '--namespace=p2p'];
  const { stdout } = await helm([...args, `--values=${UMBRELLA}/ci/existing-secrets-values.yaml`]);
  const names = [...stdout.matchAll(/^kind: (\w+)\nmetadata:\n {2}name: (\S+)$/gm)].map(
    ([, kind, name]) => `${kind} ${name}`,
  );
  expect(names.length).toBeGreaterThan(10);
  expect(names).toEqual([...new Set(names)]);
  // Kubernetes appends eleven characters to the name of a StatefulSet for a label of at most 63 characters.
  for (const name of names) expect(name.replace(/^\w+ /, '').length).toBeLessThanOrEqual(52);
});

test('all objects are valid for Kubernetes 1.36', async () => {
  const releases = await Promise.all(CASES.map(renderCase));
  expect(releases.length).toBeGreaterThanOrEqual(19);
  expect(await problemsOf(releases.flatMap(({ objects }) => objects))).toEqual([]);
});

test('validation finds an unknown field, a wrong type, a missing field and an invalid quantity', async () => {
  const deployment = (await render(UMBRELLA)).only('Deployment');
  const mistakes = [
    { readynessProbe: {} },
    { tty: 'yes' },
    { ports: [{ name: 'http' }] },
    { resources: { requests: { memory: '96 MB' } } },
  ];
  const broken = mistakes.map((mistake) => {
    const copy = structuredClone(deployment);
    Object.assign(valueAt(podSpec(copy), 'containers', 0) as object, mistake);
    return copy;
  });
  const problems = (await problemsOf(broken)).join('\n');
  for (const problem of ['readynessProbe', 'boolean', 'containerPort', 'quantity'])
    expect(problems).toContain(problem);
});

describe.each(cases)('%s', (_, one) => {
  test('runs pods under the restricted Pod Security Standard, with a read-only root and without a token', async () => {
    for (const object of (await renderCase(one)).objects) {
      const spec = podSpec(object);
      if (spec === undefined || valueAt(spec, 'containers') === undefined) continue;
      expect(valueAt(spec, 'automountServiceAccountToken')).toBe(false);
      expect(valueAt(spec, 'securityContext')).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 65_532,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers'])
        expect(valueAt(spec, key)).toBeUndefined();
      for (const container of valueAt(spec, 'containers') as unknown[]) {
        expect(valueAt(container, 'securityContext')).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(valueAt(container, 'resources', 'limits', 'memory')).toBeDefined();
        expect(valueAt(container, 'image')).not.toMatch(/:latest$|:$/);
      }
    }
  });

  test('creates objects in the namespace of the release with unique names', async () => {
    const { objects } = await renderCase(one);
    expect(new Set(objects.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['p2p']));
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual([...new Set(names)]);
  });

  test('selects its own pods by labels that do not change with the version', async () => {
    const { objects } = await renderCase(one);
    const pods = objects.flatMap((object) => {
      const labels = valueAt(object, 'spec', 'template', 'metadata', 'labels');
      return labels === undefined ? [] : [labels as Record<string, string>];
    });
    for (const labels of pods) expect(Object.keys(labels).join()).not.toMatch(/chart|version/);
    const selectors = objects.flatMap((object) => {
      const selector =
        valueAt(object, 'spec', 'selector', 'matchLabels') ??
        valueAt(object, 'spec', 'podSelector', 'matchLabels') ??
        (object.kind === 'Service' ? valueAt(object, 'spec', 'selector') : undefined);
      return selector === undefined || object.kind === 'ServiceMonitor'
        ? []
        : [selector as Record<string, string>];
    });
    expect(selectors.length).toBeGreaterThan(0);
    for (const { 'statefulset.kubernetes.io/pod-name': _pod, ...selector } of selectors) {
      // Each hub is one component.
      const { 'app.kubernetes.io/component': component, ...common } = selector;
      expect(component).toBe(common['app.kubernetes.io/name'] === 'hub' ? component : undefined);
      expect(common).toEqual({
        'app.kubernetes.io/name': expect.stringMatching(/^(tracker|relay|redis|hub)$/),
        'app.kubernetes.io/instance': 'rustory',
      });
      expect(pods).toContainEqual(expect.objectContaining(selector));
    }
  });

  test('mounts only Secrets that it creates or that the values name', async () => {
    const { all, objects } = await renderCase(one);
    // cert-manager creates the Secret of a Certificate.
    const issued = all('Certificate').map((certificate) => valueAt(certificate, 'spec', 'secretName'));
    const created = new Set<unknown>([...all('Secret').map(({ metadata }) => metadata.name), ...issued]);
    const mounted = objects.flatMap((object) => {
      const volumes = (valueAt(podSpec(object), 'volumes') ?? []) as unknown[];
      const sources = volumes.flatMap(
        (volume) => (valueAt(volume, 'projected', 'sources') ?? []) as unknown[],
      );
      return [
        ...volumes.map((volume) => valueAt(volume, 'secret', 'secretName')),
        ...sources.map((source) => valueAt(source, 'secret', 'name')),
      ].filter((name): name is string => typeof name === 'string');
    });
    // Tests set this Secret in place of the generated one.
    created.add(HUB_TOKENS);
    for (const name of mounted)
      expect(created.has(name) || JSON.stringify(one.values).includes(`"${name}"`)).toBe(true);
  });
});
