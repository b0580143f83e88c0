// What all charts have from templates/_common.tpl.
import { describe, expect, test } from '@jest/globals';
import { valueAt, podSpec, RELAY, render, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const services = [
  { chart: TRACKER, name: 'tracker', kind: 'Deployment' },
  { chart: RELAY, name: 'relay', kind: 'StatefulSet' },
];

describe.each(services)('a pod of the $name', ({ chart, name, kind }) => {
  async function pod(values: object) {
    return (await render(chart, values as never)).only(kind);
  }

  test('runs where values say', async () => {
    const values = {
      nodeSelector: { 'kubernetes.io/arch': 'arm64' },
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      priorityClassName: 'important',
    };
    expect(podSpec(await pod(values))).toMatchObject(values);
  });

  test('has labels and annotations from values besides those that select it', async () => {
    const values = { podLabels: { team: 'home' }, podAnnotations: { note: 'x' } };
    const template = valueAt(await pod(values), 'spec', 'template', 'metadata');
    expect(template).toMatchObject({
      labels: { team: 'home', 'app.kubernetes.io/name': name },
      annotations: { note: 'x' },
    });
  });

  test('pulls its image with the Secrets of the chart and of all charts', async () => {
    const values = { global: { imagePullSecrets: [{ name: 'all' }] }, imagePullSecrets: [{ name: 'own' }] };
    expect(valueAt(podSpec(await pod(values)), 'imagePullSecrets')).toEqual([{ name: 'all' }, { name: 'own' }]);
    expect(podSpec(await pod({}))).not.toHaveProperty('imagePullSecrets');
  });

  test.each<[string, object, string, number]>([
    ['one of its own', {}, `rustory-${name}`, 1],
    ['one of its own by another name', { serviceAccount: { name: 'other' } }, 'other', 1],
    ['one that is there', { serviceAccount: { create: false, name: 'there' } }, 'there', 0],
    ['the default one', { serviceAccount: { create: false } }, 'default', 0],
  ])('runs under %s', async (_, values, account, made) => {
    expect(valueAt(podSpec(await pod(values)), 'serviceAccountName')).toBe(account);
    expect((await render(chart, values as never)).all('ServiceAccount')).toHaveLength(made);
  });

  test('is told nothing of other Services by its environment', async () => {
    expect(valueAt(podSpec(await pod({})), 'enableServiceLinks')).toBe(false);
  });

  test('is asked on the ops port whether it lives and takes work, once it has started', async () => {
    const container = valueAt(podSpec(await pod({})), 'containers', 0);
    const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) =>
      valueAt(container, probe, 'httpGet'),
    );
    expect(paths).toEqual([
      { path: '/livez', port: 'ops' },
      { path: '/livez', port: 'ops' },
      { path: '/readyz', port: 'ops' },
    ]);
  });
});

test('all charts of the umbrella pull with its Secrets', async () => {
  const release = await render(UMBRELLA, { global: { imagePullSecrets: [{ name: 'all' }] } });
  const pods = release.objects.filter((object) => valueAt(podSpec(object), 'containers') !== undefined);
  expect(pods.length).toBe(4);
  for (const object of pods) expect(valueAt(podSpec(object), 'imagePullSecrets')).toEqual([{ name: 'all' }]);
});

test.each([UMBRELLA, TRACKER, RELAY])('%s installs further objects, with values filled in', async (chart) => {
  const extra = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: '{{ .Release.Name }}-extra', namespace: '{{ .Release.Namespace }}' },
  };
  const made = (await render(chart, { extraObjects: [extra] })).only('ConfigMap', 'rustory-extra');
  expect(made.metadata.namespace).toBe('p2p');
});

test.each(services)('objects of the $name may have another name', async ({ chart, kind }) => {
  const { objects } = await render(chart, { fullnameOverride: 'another' });
  expect(objects.find((object) => object.kind === kind)?.metadata.name).toBe('another');
  for (const { metadata } of objects) expect(metadata.name).toMatch(/^another/);
});
