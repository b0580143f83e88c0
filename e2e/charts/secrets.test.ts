// The Secrets of the charts without a cluster. e2e/cluster tests them with a cluster, through an upgrade.
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

/** The decoded data of a Secret. */
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

/** The checksums that replace the pods of tracker and Redis when the password changes. */
async function checksums(password: string): Promise<unknown[]> {
  const { all } = await render(UMBRELLA, { tracker: { bundledRedis: { password } } });
  return ['checksum/redis', 'checksum/config'].flatMap((name) =>
    [...all('Deployment'), ...all('StatefulSet')]
      .map((object) => valueAt(object, 'spec', 'template', 'metadata', 'annotations', name))
      .filter((checksum) => checksum !== undefined),
  );
}

describe('Secrets from values', () => {
  test('contain the values unchanged', async () => {
    expect(await secrets(UMBRELLA)).toEqual({
      'rustory-relay-swarm-key': { 'swarm.key': SWARM_KEY_TEXT },
      'rustory-relay-identity': { seed: SEED },
      'rustory-tracker-tokens': { token: TOKEN },
      'rustory-redis': { password: PASSWORD },
    });
  });

  test('accept the text of a swarm.key or its digits, and the services can read the result', async () => {
    const written = await secrets(RELAY, { swarmKey: { value: SWARM_KEY_TEXT } });
    expect(written).toEqual(await secrets(RELAY));
    const directory = mkdtempSync(join(tmpdir(), 'rustory-charts-'));
    const path = join(directory, 'swarm.key');
    writeFileSync(path, written['rustory-relay-swarm-key']?.['swarm.key'] ?? '');
    expect(Buffer.from(readSwarmKey(path).bytes).toString('hex')).toBe(SWARM_KEY_DIGITS);
    rmSync(directory, { recursive: true });
  });

  test('contain several tokens, one per line', async () => {
    const tokens = ['the-first-of-two-tokens user=ada', 'the-second-of-two-tokens read-only'];
    const { 'rustory-tracker-tokens': created } = await secrets(UMBRELLA, { tracker: { auth: { tokens } } });
    expect(created).toEqual({ token: tokens.join('\n') });
  });

  test('replace the pods that read them when they change', async () => {
    const [first, second] = [await checksums('hunter2'), await checksums('hunter3')];
    expect(first).toHaveLength(2);
    expect(first.filter((checksum) => second.includes(checksum))).toEqual([]);
  });
});

test('an uninstall and a later release without them keep all Secrets', async () => {
  for (const secret of (await render(UMBRELLA)).all('Secret'))
    expect(secret.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
});

describe('without a cluster', () => {
  const EXISTING = ['auth', 'swarmKey', 'identity', 'bundledRedis'];

  test('the render fails and asks for all Secrets at once instead of generating them', async () => {
    const { code, stdout, stderr } = await helm(['template', 'rustory', UMBRELLA]);
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    for (const value of EXISTING) expect(stderr).toContain(`.${value}.existingSecret to the name`);
    expect(stderr.match(/cannot be generated/g)).toHaveLength(EXISTING.length);
  });

  test.each([
    [RELAY, {}, ['swarmKey.existingSecret', 'identity.existingSecret']],
    [RELAY, { identity: { seed: SEED } }, ['swarmKey.existingSecret']],
    [
      UMBRELLA,
      { relay: { enabled: false } },
      ['tracker.auth.existingSecret', 'tracker.bundledRedis.existingSecret'],
    ],
    [
      UMBRELLA,
      { tracker: { enabled: false } },
      ['relay.swarmKey.existingSecret', 'relay.identity.existingSecret'],
    ],
  ])('%s with %j asks for %j', async (chart, values, missing) => {
    const { stderr } = await helm(['template', 'rustory', chart, '--values=-'], values);
    for (const value of missing)
      expect(stderr).toContain(`Set ${value} to the name of a Secret that you manage, or set `);
    expect(stderr.match(/cannot be generated/g)).toHaveLength(missing.length);
  });

  test('all renders are identical when existing Secrets are set', async () => {
    const values = 'charts/rustory-p2p/ci/existing-secrets-values.yaml';
    const [first, second] = await Promise.all(
      [1, 2].map(async () => helm(['template', 'rustory', UMBRELLA, `--values=${values}`])),
    );
    expect(first?.code).toBe(0);
    expect(first?.stdout).not.toMatch(/^kind: Secret$/m);
    expect(second?.stdout).toBe(first?.stdout);
  });
});
