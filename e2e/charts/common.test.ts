// Behavior that all charts share through templates/_common.tpl.
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

  test('uses the scheduling values', async () => {
    const values = {
      nodeSelector: { 'kubernetes.io/arch': 'arm64' },
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      priorityClassName: 'important',
    };
    expect(podSpec(await pod(values))).toMatchObject(values);
  });

  test('has the labels and annotations of the values in addition to its selector labels', async () => {
    const values = { podLabels: { team: 'home' }, podAnnotations: { note: 'x' } };
    const template = valueAt(await pod(values), 'spec', 'template', 'metadata');
    expect(template).toMatchObject({
      labels: { team: 'home', 'app.kubernetes.io/name': name },
      annotations: { note: 'x' },
    });
  });

  test('pulls its image with the Secrets of the chart and of the release', async () => {
    const values = { global: { imagePullSecrets: [{ name: 'all' }] }, imagePullSecrets: [{ name: 'own' }] };
    expect(valueAt(podSpec(await pod(values)), 'imagePullSecrets')).toEqual([
      { name: 'all' },
      { name: 'own' },
    ]);
    expect(podSpec(await pod({}))).not.toHaveProperty('imagePullSecrets');
  });

  test.each<[string, object, string, number]>([
    ['its own ServiceAccount', {}, `rustory-${name}`, 1],
    ['its own ServiceAccount with a different name', { serviceAccount: { name: 'other' } }, 'other', 1],
    ['an existing ServiceAccount', { serviceAccount: { create: false, name: 'existing' } }, 'existing', 0],
    ['the default ServiceAccount', { serviceAccount: { create: false } }, 'default', 0],
  ])('runs under %s', async (_, values, account, created) => {
    expect(valueAt(podSpec(await pod(values)), 'serviceAccountName')).toBe(account);
    expect((await render(chart, values as never)).all('ServiceAccount')).toHaveLength(created);
  });

  test('gets no environment variables about other Services', async () => {
    expect(valueAt(podSpec(await pod({})), 'enableServiceLinks')).toBe(false);
  });

  test('has probes on a declared port, and liveness does not depend on readiness', async () => {
    const container = valueAt(podSpec(await pod({})), 'containers', 0);
    const ports = (valueAt(container, 'ports') as ReadonlyArray<{ name: string }>).map((port) => port.name);
    const [startup, liveness, readiness] = ['startupProbe', 'livenessProbe', 'readinessProbe'].map(
      (probe) => valueAt(container, probe, 'httpGet') as { path: string; port: string },
    );
    for (const probe of [startup, liveness, readiness]) expect(ports).toContain(probe?.port);
    expect(readiness?.path).toBe('/readyz');
    for (const probe of [startup, liveness]) expect(probe?.path).toBe('/livez');
  });
});

test('all pods of the umbrella pull images with the global Secrets', async () => {
  const release = await render(UMBRELLA, { global: { imagePullSecrets: [{ name: 'all' }] } });
  const pods = release.objects.filter((object) => valueAt(podSpec(object), 'containers') !== undefined);
  expect(pods.length).toBe(4);
  for (const object of pods) expect(valueAt(podSpec(object), 'imagePullSecrets')).toEqual([{ name: 'all' }]);
});

test.each([UMBRELLA, TRACKER, RELAY])(
  '%s installs extraObjects and renders their templates',
  async (chart) => {
    const extra = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: '{{ .Release.Name }}-extra', namespace: '{{ .Release.Namespace }}' },
    };
    const created = (await render(chart, { extraObjects: [extra] })).only('ConfigMap', 'rustory-extra');
    expect(created.metadata.namespace).toBe('p2p');
  },
);

test.each(services)(
  'fullnameOverride changes the names of all objects of the $name',
  async ({ chart, kind }) => {
    const { objects } = await render(chart, { fullnameOverride: 'another' });
    expect(objects.find((object) => object.kind === kind)?.metadata.name).toBe('another');
    for (const { metadata } of objects) expect(metadata.name).toMatch(/^another/);
  },
);
