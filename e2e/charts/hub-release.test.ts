// What a release with hubs adds around them: the star, the tokens at the trackers, `helm test`, and the notes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse as parseToml } from 'smol-toml';
import { readTokens } from '../../services/tracker/tokens.ts';
import {
  environment,
  HUB,
  type KubernetesObject,
  podSpec,
  type Release,
  render,
  UMBRELLA,
  valueAt,
} from '../../testing/charts.ts';
import { startFakeCluster } from '../../testing/kubernetes-api.ts';
import { deployTo } from './fake-deploy.ts';
import { directStar, IDS, ofAllUsers, seenByProcess, USERS, withPolicies } from './hub-values.ts';

const starOf = (release: Release): unknown => environment(release.only('Deployment'))['TRACKER_STAR'];

const trackers = (objects: readonly KubernetesObject[]) => objects.find(({ kind }) => kind === 'Deployment');

describe('hub.star', () => {
  test('sets the variable of the trackers, and nothing does without it', async () => {
    expect(starOf(await directStar())).toBe('true');
    expect(starOf(await ofAllUsers())).toBeUndefined();
    expect(starOf(await render(UMBRELLA))).toBeUndefined();
  });

  test('is a variable of trackers whose hubs are elsewhere', async () => {
    const release = await render(UMBRELLA, { tracker: { config: { TRACKER_STAR: true } } });
    expect(starOf(release)).toBe('true');
  });
});

describe('generated tokens of hubs', () => {
  test('are bound to the exact user id, marked, kept by upgrades, and mounted by trackers next to their own', async () => {
    const cluster = await startFakeCluster();
    const folder = mkdtempSync(join(tmpdir(), 'rustory-charts-'));
    try {
      const deploy = deployTo(cluster);
      const read = (): Record<string, string> => {
        const data = valueAt(cluster.get('Secret', 'rustory-hub-tokens'), 'data') as Record<string, string>;
        return Object.fromEntries(
          Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]),
        );
      };
      const grantsOf = ({ tokens = '' }: Record<string, string>, names: readonly string[]) => {
        writeFileSync(join(folder, 'tokens'), tokens);
        const table = readTokens(join(folder, 'tokens'));
        return names.map((name) => table.find(read()[`token-${name}`] ?? ''));
      };
      const some = USERS.slice(0, 4);
      const installed = await deploy({ hub: { enabled: true, users: some } });
      const first = read();
      expect(
        grantsOf(
          first,
          some.map(({ name }) => name),
        ),
      ).toMatchObject(some.map(({ userId }) => ({ userId, readOnly: false, isHub: true })));
      const again = await deploy({ hub: { enabled: true, users: some } });
      expect(again.filter(({ kind }) => kind === 'Secret')).toEqual([]);

      // A new user gets a token, the others keep theirs, and the trackers, which mount the Secret, are not replaced.
      const extended = await deploy({ hub: { enabled: true, users: USERS } });
      for (const { name } of some) expect(read()[`token-${name}`]).toBe(first[`token-${name}`]);
      expect(grantsOf(read(), ['user-4'])).toMatchObject([{ userId: IDS[4], isHub: true }]);
      expect(trackers(extended)).toEqual(trackers(installed));

      // A removed user has no valid token, but its hub still starts after a rollback.
      await deploy({ hub: { enabled: true, users: USERS.slice(1) } });
      expect(grantsOf(read(), ['user-0', 'user-1'])).toMatchObject([undefined, { userId: IDS[1] }]);

      const volumes = valueAt(podSpec(trackers(installed) as KubernetesObject), 'volumes');
      const sources = valueAt(
        (volumes as unknown[]).find((volume) => valueAt(volume, 'name') === 'tokens'),
        'projected',
        'sources',
      );
      expect(sources).toEqual([
        { secret: { name: 'rustory-tracker-tokens' } },
        {
          secret: {
            name: 'rustory-hub-tokens',
            optional: true,
            items: [{ key: 'tokens', path: 'tokens-of-hubs' }],
          },
        },
      ]);
    } finally {
      await cluster.close();
      rmSync(folder, { recursive: true });
    }
  });
});

test('`helm test` pushes and pulls through a hub of its own, and asks each real hub for one entry', async () => {
  const release = await ofAllUsers();
  const args = valueAt(podSpec(release.only('Pod')), 'containers', 0, 'args') as string[];
  expect(args).toContain('--hub');
  const items = (args.find((arg) => arg.startsWith('--hubs=')) ?? '').replace('--hubs=', '').split(',');
  const hubs = items.map((item) => item.split('='));
  expect(hubs.map(([user = '']) => decodeURIComponent(seenByProcess(user)))).toEqual(IDS);
  for (const [index, [, address]] of hubs.entries())
    expect(address).toBe(`/dns/rustory-hub-user-${index}.p2p.svc/tcp/4002`);
  const without = valueAt(podSpec((await render(UMBRELLA)).only('Pod')), 'containers', 0, 'args');
  expect(String(without)).not.toContain('--hub');
});

describe('NOTES.txt', () => {
  test('have a config.toml of each user that the peer accepts, and the commands of devices and for a backup', async () => {
    const { notes } = await ofAllUsers();
    const [, block = ''] = /config\.toml on each device:\n\n((?: {2}.*\n)+)/.exec(notes) ?? [];
    const ids = [...block.matchAll(/^ +(?:# )?(user_id = .*)$/gm)].map(
      ([, line = '']) => parseToml(line)['user_id'],
    );
    expect(ids).toEqual(IDS);
    expect(parseToml(block)).toMatchObject({ user_id: 'ada', swarm_key_path: expect.any(String) });
    for (const text of [
      'stores shell history in plain text',
      'rr daemon\n',
      'rustory-peer daemon --push',
      'exec rustory-hub-user-0-0 -c hub -- node /app/peer.js backup - > history.db',
      'exec rustory-hub-user-0-0 -c hub -- node /app/peer.js hub new-identity',
      'set hub.serveTo=anyone',
    ])
      expect(notes).toContain(text);
    expect((await render(HUB)).notes).toContain('in plain text');
  });

  test('have the two programs of rr 0.1 where the hub answers it', async () => {
    const { notes } = await withPolicies();
    for (const text of ['\n  rr p2p-serve\n', '\n  rr p2p-sync --watch --push\n'])
      expect(notes).toContain(text);
    expect((await ofAllUsers()).notes).not.toContain('p2p-serve');
  });

  test('say what a star does only when it is on, and nothing about hubs without them', async () => {
    expect((await directStar()).notes).toMatch(/hub\.star is on: [^]*lives \(60\nseconds\)/);
    expect((await ofAllUsers()).notes).not.toContain('hub.star is on');
    expect((await render(UMBRELLA)).notes).not.toMatch(/hub/i);
  });
});
