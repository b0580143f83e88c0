// The secrets of the charts, as far as they can be seen without a cluster; e2e/cluster sees them through an upgrade.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readSwarmKey } from '../../services/private-network/key.ts';
import {
  valueAt,
  helm,
  type KubernetesObject,
  PASSWORD,
  RELAY,
  render,
  SEED,
  SWARM_KEY_DIGITS,
  TOKEN,
  UMBRELLA,
} from '../../testing/charts.ts';

const SWARM_KEY_TEXT = `/key/swarm/psk/1.0.0/\n/base16/\n${SWARM_KEY_DIGITS}\n`;

/** What a Secret holds, decoded. */
function contents(secret: KubernetesObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(valueAt(secret, 'data') as Record<string, string>).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString('utf8'),
    ]),
  );
}

async function secrets(chart: string, values = {}): Promise<Record<string, Record<string, string>>> {
  const { all } = await render(chart, values);
  return Object.fromEntries(all('Secret').map((secret) => [secret.metadata.name, contents(secret)]));
}

/** The annotations by which the pods of tracker and Redis are replaced when the password changes. */
async function sums(password: string): Promise<unknown[]> {
  const { all } = await render(UMBRELLA, { tracker: { bundledRedis: { password } } });
  return ['checksum/redis', 'checksum/config'].flatMap((name) =>
    [...all('Deployment'), ...all('StatefulSet')]
      .map((object) => valueAt(object, 'spec', 'template', 'metadata', 'annotations', name))
      .filter((sum) => sum !== undefined),
  );
}

describe('secrets that values give', () => {
  test('are taken as they are', async () => {
    expect(await secrets(UMBRELLA)).toEqual({
      'rustory-relay-swarm-key': { 'swarm.key': SWARM_KEY_TEXT },
      'rustory-relay-identity': { seed: SEED },
      'rustory-tracker-tokens': { token: TOKEN },
      'rustory-redis': { password: PASSWORD },
    });
  });

  test('may be the text of a swarm.key as well as its digits, and are a key that the services read', async () => {
    const written = await secrets(RELAY, { swarmKey: { value: SWARM_KEY_TEXT } });
    expect(written).toEqual(await secrets(RELAY));
    const folder = mkdtempSync(join(tmpdir(), 'rustory-charts-'));
    const path = join(folder, 'swarm.key');
    writeFileSync(path, written['rustory-relay-swarm-key']?.['swarm.key'] ?? '');
    expect(Buffer.from(readSwarmKey(path).bytes).toString('hex')).toBe(SWARM_KEY_DIGITS);
    rmSync(folder, { recursive: true });
  });

  test('may be several tokens, one a line', async () => {
    const tokens = ['the-first-of-two-tokens user=ada', 'the-second-of-two-tokens read-only'];
    const { 'rustory-tracker-tokens': made } = await secrets(UMBRELLA, { tracker: { auth: { tokens } } });
    expect(made).toEqual({ token: tokens.join('\n') });
  });

  test('restart the pods that read them when they are changed', async () => {
    const [first, second] = [await sums('hunter2'), await sums('hunter3')];
    expect(first).toHaveLength(2);
    expect(first.filter((sum) => second.includes(sum))).toEqual([]);
  });
});

test('what devices hold stays after an uninstall; the password of the Redis does not', async () => {
  const kept = (await render(UMBRELLA))
    .all('Secret')
    .filter(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'] === 'keep')
    .map(({ metadata }) => metadata.name);
  expect(kept.toSorted()).toEqual([
    'rustory-relay-identity',
    'rustory-relay-swarm-key',
    'rustory-tracker-tokens',
  ]);
});

describe('where helm can ask no cluster', () => {
  test.each<[string, Record<string, unknown>]>([
    ['tracker.auth.existingSecret', {}],
    ['relay.swarmKey.existingSecret', { tracker: { auth: { existingSecret: 'a' } } }],
    [
      'relay.identity.existingSecret',
      { tracker: { auth: { existingSecret: 'a' } }, relay: { swarmKey: { existingSecret: 'b' } } },
    ],
    [
      'tracker.bundledRedis.existingSecret',
      {
        tracker: { auth: { existingSecret: 'a' } },
        relay: { swarmKey: { existingSecret: 'b' }, identity: { existingSecret: 'c' } },
      },
    ],
  ])('the render ends and asks for %s instead of inventing a secret', async (value, values) => {
    const { code, stdout, stderr } = await helm(['template', 'rustory', UMBRELLA, '--values=-'], values);
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain(`${value} must name a Secret that you keep, or `);
  });

  test('secrets that are yours are all it takes, and every render is the same', async () => {
    const values = 'charts/rustory-p2p/ci/existing-secrets-values.yaml';
    const [first, second] = await Promise.all(
      [1, 2].map(async () => helm(['template', 'rustory', UMBRELLA, `--values=${values}`])),
    );
    expect(first?.code).toBe(0);
    expect(first?.stdout).not.toMatch(/^kind: Secret$/m);
    expect(second?.stdout).toBe(first?.stdout);
  });
});
