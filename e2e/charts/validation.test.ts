// Values that contradict each other, which templates/validate.yaml rejects.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { CHARTS, render, renderError, RELAY, TRACKER, UMBRELLA } from '../../testing/charts.ts';
import { RELAY_CONTRADICTIONS } from './relay-contradictions.ts';
import { HUB_CONTRADICTIONS } from './hub-contradictions.ts';
import { TRACKER_CONTRADICTIONS } from './tracker-contradictions.ts';
import { UMBRELLA_CONTRADICTIONS } from './umbrella-contradictions.ts';

const ROOT = join(import.meta.dirname, '../..');
const REDIS = { externalRedis: { url: 'redis://r' } };

const CONTRADICTIONS = [
  ...TRACKER_CONTRADICTIONS,
  ...RELAY_CONTRADICTIONS,
  ...HUB_CONTRADICTIONS,
  ...UMBRELLA_CONTRADICTIONS,
];

describe('validate.yaml rejects', () => {
  test.each(CONTRADICTIONS)('%s', async (_, chart, values, message) => {
    expect(await renderError(chart, values as never)).toContain(message);
  });

  test.each([
    [
      'the memory of Redis without a limit',
      UMBRELLA,
      { redis: { maxMemory: '1gb', resources: { limits: { memory: null } } } },
    ],
    [
      'a Redis at 90 % of its limit',
      UMBRELLA,
      { redis: { maxMemory: '900mb', resources: { limits: { memory: '1000Mi' } } } },
    ],
    ['values of a Redis that is not installed', UMBRELLA, { redis: { maxMemory: '9gb' }, tracker: REDIS }],
    [
      'a budget of half of the trackers',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { minAvailable: '50%' } },
    ],
    [
      'a budget of 1 %, which is rounded up to a pod',
      RELAY,
      { replicaCount: 2, pdb: { maxUnavailable: '1%' } },
    ],
    [
      'the PROXY protocol with trusted proxies',
      RELAY,
      { config: { RELAY_PROXY_PROTOCOL: true, RELAY_TRUSTED_PROXIES: '192.0.2.0/24' } },
    ],
    // An operator who writes 0 wants to decide about each drain.
    ['a budget that permits no drain', RELAY, { replicaCount: 2, pdb: { maxUnavailable: 0 } }],
    ['a budget that is turned off', RELAY, { replicaCount: 2, pdb: { enabled: false, minAvailable: 2 } }],
  ] as const)('not %s', async (_, chart, values) => {
    expect((await render(chart, values)).objects.length).toBeGreaterThan(0);
  });

  test('nothing without a case', () => {
    for (const chart of CHARTS) {
      const text = readFileSync(join(ROOT, chart, 'templates/validate.yaml'), 'utf8');
      const problems = text.match(/append \$problems|fail "/g) ?? [];
      const cases = CONTRADICTIONS.filter(([, of]) => of === chart);
      expect([chart, cases.length >= problems.length]).toEqual([chart, true]);
    }
  });

  test('all problems at once, with the names of the values in the umbrella', async () => {
    const error = await renderError(UMBRELLA, {
      relay: { replicaCount: 2, p2p: { expose: 'NodePort', announce: ['/dns4/relay.example.org/tcp/1'] } },
    });
    expect(error).toContain('relay.p2p.announce contains /dns4/relay.example.org/tcp/1');
    expect(error).toContain('Set relay.p2p.nodePorts, one port for each relay.');
  });
});
