import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { HUB, valueAt, RELAY, render, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');
const charts = [
  { chart: TRACKER, name: 'tracker', monitor: 'serviceMonitor' },
  { chart: RELAY, name: 'relay', monitor: 'podMonitor' },
  { chart: HUB, name: 'hub', monitor: 'podMonitor' },
];

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

async function rules(chart: string, values: object = {}): Promise<Rule[]> {
  const release = await render(chart, { prometheusRule: { enabled: true, ...values } });
  const groups = valueAt(release.only('PrometheusRule'), 'spec', 'groups') as Array<{
    name: string;
    rules: Rule[];
  }>;
  expect(groups).toHaveLength(1);
  return groups[0]?.rules ?? [];
}

function alertFiles(chart: string): string[] {
  return globSync(join(ROOT, chart, 'files/alerts/*.yaml')).map((path) => basename(path, '.yaml'));
}

test.each(charts)(
  'the $name installs no objects for the Prometheus operator or Grafana by default',
  async ({ chart }) => {
    const kinds = new Set((await render(chart)).objects.map(({ kind }) => kind));
    for (const kind of ['ServiceMonitor', 'PodMonitor', 'PrometheusRule', 'ConfigMap'])
      expect(kinds.has(kind)).toBe(false);
  },
);

describe('prometheusrule.yaml', () => {
  test.each(charts)(
    'of the $name keeps the templates of Prometheus and renders all others',
    async ({ chart }) => {
      for (const { alert, expr, annotations } of await rules(chart)) {
        expect([alert, expr, ...Object.values(annotations)].join()).not.toContain('PROMETHEUS');
        expect(expr).not.toContain('{{');
        expect(annotations['summary']).toMatch(/\S/);
        for (const [braces] of Object.values(annotations)
          .join()
          .matchAll(/\{\{[^}]*/g))
          expect(braces).toMatch(/^\{\{ \$(labels|value)\b/);
      }
    },
  );

  test('links every alert to its runbook below runbookUrl', async () => {
    for (const { alert, annotations } of await rules(RELAY, { runbookUrl: 'https://wiki.example.org/run/' }))
      expect(annotations['runbook_url']).toBe(`https://wiki.example.org/run/${alert}.md`);
  });

  test('leaves out excluded alerts and adds ruleLabels to all others', async () => {
    const [excluded = '', ...others] = alertFiles(TRACKER);
    const found = await rules(TRACKER, { excludeRules: [excluded], ruleLabels: { team: 'home' } });
    expect(found.map(({ alert }) => alert).toSorted()).toEqual(others.toSorted());
    for (const { labels } of found)
      expect(labels).toMatchObject({ team: 'home', severity: expect.any(String) });
  });
});

describe('dashboards.yaml', () => {
  test.each(charts)(
    'of the $name installs every dashboard for the sidecar of Grafana, unchanged',
    async ({ chart }) => {
      const map = (await render(chart, { dashboards: { enabled: true } })).only('ConfigMap');
      expect(map.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
      const files = globSync(join(ROOT, chart, 'files/dashboards/*.json'));
      expect(Object.keys(valueAt(map, 'data') as object).toSorted()).toEqual(
        files.map((path) => basename(path)).toSorted(),
      );
      for (const path of files) expect(valueAt(map, 'data', basename(path))).toBe(readFileSync(path, 'utf8'));
    },
  );
});

describe('servicemonitor.yaml and podmonitor.yaml', () => {
  const RELEASE_LABEL = { action: 'replace', targetLabel: 'release', replacement: 'rustory' };
  const monitoring = { enabled: true, interval: '15s', labels: { release: 'prometheus' } };

  test('the tracker is scraped through a separate Service for the ops port', async () => {
    const release = await render(TRACKER, { serviceMonitor: monitoring });
    const monitor = release.only('ServiceMonitor');
    expect(monitor.metadata.labels).toMatchObject({ release: 'prometheus' });
    expect(valueAt(monitor, 'spec', 'endpoints')).toEqual([
      { port: 'ops', path: '/metrics', interval: '15s', relabelings: [RELEASE_LABEL] },
    ]);
    const service = release.only('Service', 'rustory-tracker-ops');
    expect(service.metadata.labels).toMatchObject(
      valueAt(monitor, 'spec', 'selector', 'matchLabels') as object,
    );
    expect(valueAt(service, 'spec')).toMatchObject({
      clusterIP: 'None',
      ports: [{ name: 'ops' }],
    });
    const api = release.only('Service', 'rustory-tracker').metadata.labels;
    expect(api).not.toMatchObject(valueAt(monitor, 'spec', 'selector', 'matchLabels') as object);
  });

  test('each relay is scraped directly', async () => {
    const monitor = (await render(RELAY, { podMonitor: monitoring })).only('PodMonitor');
    expect(valueAt(monitor, 'spec', 'podMetricsEndpoints')).toEqual([
      { port: 'ops', path: '/metrics', interval: '15s', relabelings: [RELEASE_LABEL] },
    ]);
  });

  test.each(charts)(
    'the alerts of the $name select the job and the release that the monitor sets, and keep given relabelings',
    async ({ chart, name, monitor }) => {
      const given = { action: 'labeldrop', regex: 'container' };
      const release = await render(chart, { [monitor]: { ...monitoring, relabelings: [given] } });
      const object = release.objects.find(({ kind }) => kind.endsWith('Monitor'));
      expect(valueAt(object, 'spec', 'jobLabel')).toBe('app.kubernetes.io/name');
      const endpoints = name === 'tracker' ? 'endpoints' : 'podMetricsEndpoints';
      expect(valueAt(object, 'spec', endpoints, 0, 'relabelings')).toEqual([RELEASE_LABEL, given]);
      for (const { expr } of await rules(chart)) expect(expr).toContain(`job="${name}"`);
      for (const { expr } of await rules(chart))
        expect(expr.match(/release="rustory"/g)).toHaveLength((expr.match(/namespace="p2p"/g) ?? []).length);
    },
  );
});

describe('networkpolicy.yaml', () => {
  test.each(charts)(
    'allows all connections to the $name and none to its ops port by default',
    async ({ chart, name }) => {
      const policy = (await render(chart, { networkPolicy: { enabled: true } })).only('NetworkPolicy');
      expect(valueAt(policy, 'spec', 'ingress')).toEqual([
        { ports: [{ port: name === 'tracker' ? 'http' : 'p2p' }] },
      ]);
      expect(valueAt(policy, 'spec', 'policyTypes')).toEqual(['Ingress', 'Egress']);
    },
  );

  test.each(charts)('allows Prometheus to connect to the ops port of the $name', async ({ chart }) => {
    const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];
    const policy = (await render(chart, { networkPolicy: { enabled: true, opsFrom: from } })).only(
      'NetworkPolicy',
    );
    expect(valueAt(policy, 'spec', 'ingress', 1)).toEqual({ ports: [{ port: 'ops' }], from });
  });

  test.each(charts)(
    'always allows the pod of `helm test` to connect to the $name',
    async ({ chart, name }) => {
      const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } } }];
      const own = name === 'tracker' ? { apiFrom: from } : { p2pFrom: from };
      const policy = (await render(chart, { networkPolicy: { enabled: true, ...own } })).only(
        'NetworkPolicy',
      );
      const labels = { 'app.kubernetes.io/name': 'network-test', 'app.kubernetes.io/instance': 'rustory' };
      const hubs = { podSelector: { matchLabels: { ...labels, 'app.kubernetes.io/name': 'hub' } } };
      expect(valueAt(policy, 'spec', 'ingress', 0, 'from')).toEqual([
        ...from,
        { podSelector: { matchLabels: labels } },
        ...(name === 'hub' ? [] : [hubs]),
      ]);
      const pod = (await render(UMBRELLA)).only('Pod');
      expect(pod.metadata.labels).toMatchObject(labels);
    },
  );

  test('allows a relay no egress', async () => {
    const policy = (await render(RELAY, { networkPolicy: { enabled: true } })).only('NetworkPolicy');
    expect(valueAt(policy, 'spec', 'policyTypes')).toContain('Egress');
    expect(valueAt(policy, 'spec', 'egress')).toBeUndefined();
  });

  const dns = {
    to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }],
    ports: [
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'TCP' },
    ],
  };

  test.each<[string, object, unknown[]]>([
    ['only DNS without Redis', {}, []],
    [
      'DNS and the Redis of the release',
      { bundledRedis: { enabled: true } },
      [
        {
          to: [
            {
              podSelector: {
                matchLabels: { 'app.kubernetes.io/name': 'redis', 'app.kubernetes.io/instance': 'rustory' },
              },
            },
          ],
          ports: [{ port: 6379 }],
        },
      ],
    ],
    [
      'DNS, an external Redis and its Sentinels',
      { externalRedis: { url: 'redis+sentinel://s/m' } },
      [{ ports: [{ port: 6379 }, { port: 26_379 }] }],
    ],
  ])('allows the tracker egress to %s', async (_, values, expected) => {
    const tracker = { bundledRedis: { enabled: false }, replicaCount: 1, ...values };
    const release = await render(UMBRELLA, { tracker: { ...tracker, networkPolicy: { enabled: true } } });
    const policy = release.only('NetworkPolicy', 'rustory-tracker');
    expect(valueAt(policy, 'spec', 'egress')).toEqual([dns, ...expected]);
  });
});
