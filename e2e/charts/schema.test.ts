// Unknown values and values of wrong types, which values.schema.json rejects.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  CHARTS,
  HUB,
  renderError,
  RELAY,
  TRACKER,
  type Tree,
  UMBRELLA,
  valueAt,
} from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('values.schema.json rejects', () => {
  test.each<[string, string, object, string]>([
    ['an unknown value', UMBRELLA, { redsi: {} }, "'redsi' not allowed"],
    [
      'an unknown value of a subchart',
      UMBRELLA,
      { tracker: { replicaCont: 3 } },
      "'replicaCont' not allowed",
    ],
    ['an unknown nested value', RELAY, { p2p: { externalDNS: { enabeld: true } } }, "'enabeld' not allowed"],
    ['an unknown value of an image', TRACKER, { image: { name: 'x' } }, "'name' not allowed"],
    [
      'an unknown variable of the service',
      TRACKER,
      { config: { TRACKER_TTL: 1 } },
      "'TRACKER_TTL' not allowed",
    ],
    [
      'a variable that the chart sets itself',
      RELAY,
      { config: { RELAY_ANNOUNCE: 'x' } },
      "'RELAY_ANNOUNCE' not allowed",
    ],
    [
      'a port that the probes do not use',
      TRACKER,
      { config: { TRACKER_LISTEN: '[::]:80' } },
      "'/config/TRACKER_LISTEN'",
    ],
    [
      'an issuer of an unknown kind',
      TRACKER,
      { ingress: { tls: { issuer: 'Vault/le' } } },
      "'/ingress/tls/issuer'",
    ],
    ['a host name with a scheme', TRACKER, { tls: { hosts: ['https://a.example.org'] } }, "'/tls/hosts/0'"],
    ['a list of TLS blocks', TRACKER, { ingress: { tls: [{ hosts: ['a'] }] } }, "'/ingress/tls': got array"],
    ['a number for a string', TRACKER, { ingress: { host: 5 } }, "'/ingress/host': got number"],
    ['a negative number', RELAY, { replicaCount: -1 }, "'/replicaCount'"],
    ['an unknown way to expose relays', RELAY, { p2p: { expose: 'HostPort' } }, "'/p2p/expose'"],
    ['an invalid multiaddr', RELAY, { p2p: { announce: ['relay.example.org:4001'] } }, "'/p2p/announce/0'"],
    ['a duplicate node port', RELAY, { p2p: { nodePorts: [30_001, 30_001] } }, "'/p2p/nodePorts'"],
    [
      'a URL of a different protocol',
      TRACKER,
      { externalRedis: { url: 'http://r' } },
      "'/externalRedis/url'",
    ],
    ['a short token', TRACKER, { auth: { tokens: ['short'] } }, "'/auth/tokens/0'"],
    ['a short seed', RELAY, { identity: { seed: 'short' } }, "'/identity/seed'"],
    [
      'a label selector in a topology spread constraint',
      TRACKER,
      { topologySpread: { zone: { maxSkew: 1, labelSelector: {} } } },
      'labelSelector',
    ],
    [
      'an unknown field of a security context',
      RELAY,
      { securityContext: { readOnlyRootFileSystem: true } },
      "'readOnlyRootFileSystem' not allowed",
    ],
    [
      'an invalid peer of a NetworkPolicy',
      TRACKER,
      { networkPolicy: { opsFrom: [{ namespace: 'monitoring' }] } },
      "'namespace' not allowed",
    ],
    ['a user without an id', HUB, { users: [{ name: 'ada' }] }, "missing property 'userId'"],
    ['a user id that YAML reads as a number', HUB, { users: [{ name: 'ada', userId: 7 }] }, 'got number'],
    ['a user id with a NUL', HUB, { users: [{ name: 'ada', userId: 'a\0b' }] }, "'/users/0/userId'"],
    ['a name that Kubernetes rejects', HUB, { users: [{ name: 'Ada L', userId: 'a' }] }, "'/users/0/name'"],
    ['a token of the tracker as a variable', HUB, { config: { RUSTORY_TRACKER_TOKEN: 'x' } }, 'not allowed'],
    ['a relay without its peer id', HUB, { network: { relays: ['/dns4/r/tcp/1'] } }, "'/network/relays/0'"],
    ['an invalid quantity', UMBRELLA, { redis: { resources: { limits: { memory: '1 GB' } } } }, 'memory'],
  ])('%s', async (_, chart, values, message) => {
    expect(await renderError(chart, values as never)).toContain(message);
  });

  // Helm cannot parse them in a file of values, only with --set-json.
  test('control characters in a user id that YAML rejects', () => {
    const schema = JSON.parse(readFileSync(join(ROOT, HUB, 'values.schema.json'), 'utf8')) as Tree;
    const pattern = valueAt(schema, 'properties', 'users', 'items', 'properties', 'userId', 'pattern');
    const accepted = ['a\u007Fb', 'a\u009Bb', 'é <a@b>\n'].filter((id) =>
      new RegExp(String(pattern)).test(id),
    );
    expect(accepted).toEqual(['é <a@b>\n']);
  });

  test('unknown keys in every object that the chart reads', () => {
    for (const chart of CHARTS) {
      const schema: unknown = JSON.parse(readFileSync(join(ROOT, chart, 'values.schema.json'), 'utf8'));
      expect(openObjects(schema, '')).toEqual(
        chart === UMBRELLA ? ['global', 'hub', 'relay', 'tracker'] : ['global'],
      );
    }
  });
});

/** Paths of objects with declared properties that also allow others. Objects for Kubernetes are not included. */
function openObjects(schema: unknown, path: string): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties, additionalProperties, $defs } = schema as Record<string, Record<string, unknown>>;
  const isOpen = properties !== undefined && (additionalProperties as unknown) !== false;
  const inner = { ...properties, ...$defs };
  const isSubchart = ['tracker', 'relay', 'hub'].includes(path);
  return [
    ...(isOpen || (isSubchart && properties === undefined) ? [path] : []),
    ...Object.entries(inner).flatMap(([key, value]) =>
      openObjects(value, path === '' ? key : `${path}.${key}`),
    ),
  ].toSorted();
}
