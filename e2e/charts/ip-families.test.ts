// Clusters with IPv6 only, or with both families: what the charts render for them.
import { describe, expect, test } from '@jest/globals';
import { environment, podSpec, render, UMBRELLA, valueAt } from '../../testing/charts.ts';

const FAMILIES = { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] };
const ANNOUNCE = { expose: 'LoadBalancer', announce: ['/dns/relay.example.org/tcp/4001'] };

describe('families of addresses', () => {
  test('are set in every Service that devices use, and in no other', async () => {
    const values = { tracker: { service: FAMILIES }, relay: { p2p: { ...ANNOUNCE, ...FAMILIES } } };
    const services = (await render(UMBRELLA, values)).all('Service');
    const dual = services.filter((service) => {
      const { ipFamilyPolicy, ipFamilies } = service['spec'] as Record<string, unknown>;
      return JSON.stringify({ ipFamilyPolicy, ipFamilies }) === JSON.stringify(FAMILIES);
    });
    expect(dual.map(({ metadata }) => metadata.name).toSorted()).toEqual([
      'rustory-relay',
      'rustory-relay-0',
      'rustory-tracker',
    ]);
  });

  test('are those of the cluster by default', async () => {
    for (const service of (await render(UMBRELLA, { relay: { p2p: ANNOUNCE } })).all('Service')) {
      expect(valueAt(service, 'spec', 'ipFamilyPolicy')).toBeUndefined();
      expect(valueAt(service, 'spec', 'ipFamilies')).toBeUndefined();
    }
  });

  test('restrict nothing else: no default is an address of IPv4, and all listen on both', async () => {
    const policy = { networkPolicy: { enabled: true } };
    const { objects, only } = await render(UMBRELLA, { tracker: policy, relay: policy });
    expect(environment(only('Deployment'))).toMatchObject({
      TRACKER_LISTEN: '[::]:8850',
      TRACKER_OPS_LISTEN: '[::]:9090',
    });
    expect(environment(only('StatefulSet', 'rustory-relay'))).toMatchObject({
      RELAY_LISTEN: '/ip4/0.0.0.0/tcp/4001,/ip6/::/tcp/4001',
      RELAY_OPS_LISTEN: '[::]:9091',
      RELAY_ANNOUNCE: '/dns/{podName}.rustory-relay.p2p.svc/tcp/4001',
    });
    // The default of Redis is `* -::*`: all addresses of both families.
    expect(String(valueAt(only('ConfigMap'), 'data', 'redis.conf'))).not.toMatch(/^bind/m);
    for (const object of objects) {
      const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) =>
        valueAt(podSpec(object), 'containers', 0, probe, 'httpGet', 'host'),
      );
      expect(probes).toEqual([undefined, undefined, undefined]);
      if (object.kind === 'NetworkPolicy') expect(JSON.stringify(object)).not.toContain('ipBlock');
    }
    const addresses = JSON.stringify(objects).match(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g) ?? [];
    expect(new Set(addresses)).toEqual(new Set(['0.0.0.0']));
  });
});
