// Tests that docs/metrics.md documents every metric and every outcome, and tests the generators of `npm run docs`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { decimalPattern, withConfigSchema } from '../scripts/chart-schema.ts';
import { environmentPage } from '../scripts/docs-environment.ts';
import { OUTCOMES, withOutcomes } from '../scripts/docs-metrics.ts';
import { createHubMetrics } from '../services/peer/hub/metrics.ts';
import { createRelayMetrics } from '../services/relay/metrics.ts';
import { createRelayProxyHeaders } from '../services/relay/proxy-headers.ts';
import { createLogger } from '../services/shared/log.ts';
import { boolean, integer, oneOf, text } from '../services/shared/variables.ts';
import { createProxyAdmission } from '../services/tracker/proxy-protocol/admission.ts';
import { createTrackerMetrics } from '../services/tracker/metrics.ts';
import { parseRedisUrl } from '../services/tracker/registry/redis-url.ts';
import { createHandshakeObserver } from '../services/tracker/tls/handshakes.ts';
import { relayLimits } from './relay-config.ts';
import { testConfig } from './tracker-app.ts';

function zero(): number {
  return 0;
}

describe('docs/metrics.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../docs/metrics.md'), 'utf8');
  const relay = createRelayMetrics(relayLimits(), 'noble');
  relay.observe({
    reservations: zero,
    circuits: zero,
    muxers: () => [],
    pending: zero,
    waiting: zero,
    bufferedBytes: zero,
    unreachablePeers: zero,
    lastingUnreachablePeers: zero,
  });
  const tracker = createTrackerMetrics({ ...testConfig(), redis: parseRedisUrl('redis://localhost') }, zero);
  createHandshakeObserver({
    registry: tracker.registry,
    log: createLogger('test', 'silent'),
    validity: () => ({ notBeforeUnixMs: 0, notAfterUnixMs: 0 }),
  });
  const log = createLogger('test', 'silent');
  createProxyAdmission({ isTrusted: () => false, registry: tracker.registry, log });
  createRelayProxyHeaders({ proxyProtocol: true, trustedProxies: [] }, { registry: relay.registry, log });
  const hub = createHubMetrics({ cipher: 'noble', wantedReservations: 1 });
  hub.observe({
    counts: () => ({ entries: 0, deletions: 0 }),
    reservations: zero,
    silentSeconds: () => [],
    storage: {
      check: () => ({ ok: true }),
      sizes: () => ({ databaseBytes: 0, logBytes: 0, freeBytes: 0, limitBytes: 0 }),
    },
  });
  const services = [
    { prefix: 'rustory_hub', registry: hub.registry },
    { prefix: 'rustory_relay', registry: relay.registry },
    { prefix: 'rustory_tracker', registry: tracker.registry },
  ];

  test.each(services)('names every metric $prefix_… and no other', ({ prefix, registry }) => {
    const metrics = registry.getMetricsAsArray().map(({ name }) => name);
    const documented = [...page.matchAll(new RegExp(`\`(${prefix}_\\w+)`, 'g'))].map(([, name = '']) => name);
    const ours = metrics.filter((name) => name.startsWith(prefix));
    expect([...new Set(documented)].toSorted()).toEqual(ours.toSorted());
  });

  test.each(services)('has a table for every reason and outcome of $prefix_…', async ({ registry }) => {
    const documented = new Set(Object.values(OUTCOMES).flatMap((outcomes) => Object.keys(outcomes)));
    const values = [
      ...(await registry.metrics()).matchAll(/[{,](?:reason|outcome|direction|source)="(\w+)"/g),
    ];
    expect(values.length).toBeGreaterThan(5);
    expect(values.map(([, value = '']) => value).filter((value) => !documented.has(value))).toEqual([]);
  });
});

describe('the tables of outcomes', () => {
  const outcomes = { list: { ok: { doc: 'It worked.' }, rate: { doc: 'Too many | too fast.' } } };

  test('replace the text between their markers', () => {
    const page = withOutcomes('a\n<!-- generated: list -->\nold\n<!-- end -->\nb', outcomes);
    expect(page).toContain('| `ok` | It worked. |');
    expect(page).toContain(String.raw`| \`rate\` | Too many \| too fast. |`.replaceAll('\\`', '`'));
    expect(page).not.toContain('old');
    expect(withOutcomes(page, outcomes)).toBe(page);
  });

  test('fail when the page or the list is missing', () => {
    expect(() => withOutcomes('a', outcomes)).toThrow('for list.');
    expect(() => withOutcomes('<!-- generated: other --><!-- end -->', {})).toThrow('name "other"');
  });
});

const variables = {
  T_COUNT: integer(1, 12, { fallback: '2', doc: 'Maximum items.' }),
  T_OPEN: boolean({ fallback: 'false', doc: 'Whether it is open.', audience: 'set' }),
  T_MODE: oneOf(['slow', 'fast'], { fallback: 'slow', doc: 'Mode.', audience: 'rarely' }),
  T_NAME: text({ fallback: undefined, doc: 'Name.' }),
};

describe('docs/environment.md', () => {
  test('has a section per service and a table per audience', () => {
    const page = environmentPage({ Thing: variables });
    expect(page.match(/^#+ .*$/gm)).toEqual([
      '# Environment variables',
      '## Thing',
      '### Thing: set',
      '### Thing: tune',
      '### Thing: rarely changed',
    ]);
    expect(page).toContain('| `T_COUNT` | `2` | Maximum items. |\n| `T_NAME` |  | Name. |');
  });
});

describe('the schema of config', () => {
  const templates = '- name: T_NAME\n  value: x\n';
  const schema = JSON.parse(
    withConfigSchema('{"title":"t","properties":{"config":{},"other":{}}}', templates, variables),
  ) as { title: string; properties: { config: { properties: Record<string, unknown> }; other: object } };

  test('has the types and bounds of all variables that the templates do not set', () => {
    expect(schema.properties.config).toMatchObject({ type: 'object', additionalProperties: false });
    expect(schema.properties.config.properties).toEqual({
      T_COUNT: {
        anyOf: [
          { type: 'integer', minimum: 1, maximum: 12 },
          { type: 'string', pattern: '^([1-9]|1[0-2])$' },
        ],
      },
      T_MODE: { enum: ['slow', 'fast'] },
      T_OPEN: { enum: [true, false, 'true', 'false'] },
    });
  });

  test('does not change the rest of the schema', () => {
    expect(schema).toMatchObject({ title: 't', properties: { other: {} } });
  });

  test.each([
    [0, 0],
    [0, 9],
    [5, 3600],
    [256, 300],
    [299, 1001],
    [7, 10_000],
  ])('accepts exactly the decimal numbers from %d to %d as text', (min, max) => {
    const pattern = new RegExp(`^(${decimalPattern(min, max)})$`);
    const accepted = Array.from({ length: 11_000 }, (_, n) => n).filter((n) => pattern.test(String(n)));
    expect(accepted).toHaveLength(max - min + 1);
    expect([accepted[0], accepted.at(-1)]).toEqual([min, max]);
    for (const given of ['', '-1', '007', '1.5', '1e3']) expect(pattern.test(given)).toBe(false);
  });
});
