// docs/rr.md: runs the commands that are ours, and reads the configuration and the units that are meant for rr.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { multiaddr } from '@multiformats/multiaddr';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { cleanUp } from '../testing/cleanup.ts';
import { render, renderError, UMBRELLA } from '../testing/charts.ts';
import { startHub } from '../testing/hub.ts';
import { createDevice, makeEntries, startNetwork } from '../testing/network.ts';

afterEach(cleanUp);

const PAGE = readFileSync(join(import.meta.dirname, '../docs/rr.md'), 'utf8');

/** The keys of config.toml that rr has. */
const RR_KEYS = new Set([
  'db_path',
  'user_id',
  'device_id',
  'trackers',
  'tracker_token',
  'relay_addr',
  'swarm_key_path',
  'p2p_identity_key_path',
]);

/** The commands of rr, with their options, that a service may run. */
const RR_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  daemon: [],
  'p2p-serve': ['--listen'],
  'p2p-sync': ['--watch', '--push', '--interval-sec'],
};

/** The configuration of a device on the page. */
interface DeviceConfig {
  readonly trackers: readonly string[];
  readonly relay_addr: string;
}

function deviceConfig(): DeviceConfig {
  const [text = ''] = blocks('toml');
  return parseToml(text) as unknown as DeviceConfig;
}

/** The code blocks of one language. */
function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, text = '']) => text,
  );
}

/** The commands of all console blocks that start with this word, without it. */
function commands(program: string): string[][] {
  return blocks('console')
    .flatMap((block) => block.trim().split('\n'))
    .filter((line) => line.startsWith(`$ ${program} `))
    .map((line) => line.split(/\s+/).slice(2));
}

/** The values of `--set` options such as `hub.users[0].name=ada,hub.enabled=true`. */
function setValues(options: readonly string[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const assignment of options.flatMap((option) => option.split(','))) {
    const [path = '', value = ''] = assignment.split('=');
    const keys = path.split(/[.[\]]+/).filter((key) => key !== '');
    let parent = values;
    for (const [index, key] of keys.slice(0, -1).entries())
      parent = (parent[key] ??= /^\d+$/.test(keys[index + 1] ?? '') ? [] : {}) as Record<string, unknown>;
    parent[keys.at(-1) ?? ''] = value === 'true' ? true : value;
  }
  return values;
}

/** The sections of a systemd unit. @throws Error for a line that is not a comment, a section or an assignment */
function parseUnit(text: string): Record<string, Record<string, string>> {
  const sections: Record<string, Record<string, string>> = {};
  let section: Record<string, string> | undefined;
  for (const line of text.split('\n')) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    const [, key = '', value = ''] = /^(\w+)=(.+)$/.exec(line) ?? [];
    if (name !== undefined) sections[name] = section = {};
    else if (key !== '' && section !== undefined) section[key] = value;
    else if (line !== '' && !line.startsWith('#')) throw new Error(`"${line}" is not a line of a unit.`);
  }
  return sections;
}

describe('docs/rr.md', () => {
  test('configures rr with keys that it has, and one relay', () => {
    expect(blocks('toml')).toHaveLength(1);
    const config = deviceConfig();
    expect(Object.keys(config).filter((key) => !RR_KEYS.has(key))).toEqual([]);
    const relay = multiaddr(config.relay_addr).getComponents();
    expect(relay.map(({ name }) => name)).toEqual(['dns4', 'tcp', 'p2p']);
    expect(new URL(config.trackers[0] ?? '').protocol).toBe('https:');
  });

  test.each(blocks('ini').map((text) => [/^# .*\/(.*)$/m.exec(text)?.[1] ?? '', text]))(
    '%s runs a command that rr has, for ever',
    (name, text) => {
      expect(name).toMatch(/^rr[\w-]*\.service$/);
      const { Unit, Service, Install } = parseUnit(text);
      expect(Unit?.['Description']).toMatch(/^rustory: /);
      expect(Service?.['Restart']).toBe('always');
      expect(Install).toEqual({ WantedBy: 'default.target' });
      const [program, command = '', ...options] = (Service?.['ExecStart'] ?? '').split(' ');
      expect(program).toMatch(/^%h\/.*\/rr$/);
      expect(Object.keys(RR_COMMANDS)).toContain(command);
      expect(options.filter((option) => !RR_COMMANDS[command]?.includes(option))).toEqual([]);
    },
  );

  test('installs the charts with its values, and their notes show its configuration', async () => {
    const [install, upgrade = []] = commands('helm');
    expect(install).toEqual(['install', 'rustory-p2p', UMBRELLA, '--values', 'values.yaml']);
    const [text = ''] = blocks('yaml');
    const values = parseYaml(text) as Record<string, unknown>;
    const { objects, notes } = await render(UMBRELLA, values);
    expect(objects.map(({ kind }) => kind)).toContain('Ingress');
    const config = deviceConfig();
    expect(notes).toContain(`trackers = ["${config.trackers[0]}"]`);
    expect(notes).toContain(config.relay_addr.replace(/\/p2p\/.*$/, ''));

    expect(upgrade.slice(0, 5)).toEqual(['upgrade', 'rustory-p2p', UMBRELLA, '--values', 'values.yaml']);
    const hub = setValues(upgrade.filter((_, index) => upgrade[index - 1] === '--set'));
    const withHub = await render(UMBRELLA, { ...values, ...hub });
    const hubs = withHub.objects.filter(
      ({ kind, metadata }) => kind === 'StatefulSet' && /hub/.test(metadata.name),
    );
    expect(hubs).toHaveLength(1);
    expect(JSON.stringify(hubs)).toContain('"ada"');
    expect(
      await renderError(UMBRELLA, {
        ...values,
        ...hub,
        hub: { ...(hub['hub'] as object), serveTo: 'nobody' },
      }),
    ).toMatch(/serveTo/);
    await render(UMBRELLA, { ...values, hub: { ...(hub['hub'] as object), serveTo: 'anyone' } });
  });

  test('has commands of the peer that succeed on a device with its configuration', async () => {
    const network = await startNetwork({ tokens: 'THE_TOKEN\n' });
    const desktop = network.device('desktop', { RUSTORY_USER_ID: 'ada', RUSTORY_TRACKER_TOKEN: 'THE_TOKEN' });
    desktop.insert(makeEntries('desktop', 3));
    await desktop.serve();
    const hub = await startHub(network, { env: { RUSTORY_TRACKER_TOKEN: 'THE_TOKEN' } });
    await hub.registered();
    // Only the files in the home directory configure this device: the page's, with the addresses of this network.
    const home = join(network.directory, 'laptop');
    const folder = join(home, '.config/rustory');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const laptop = createDevice('laptop', { HOME: home, RUSTORY_LISTEN: 'none' });
    const [text = ''] = blocks('toml');
    const config = text
      .replace(/^trackers = .*$/m, `trackers = ["${network.tracker.url}"]`)
      .replace(/^relay_addr = .*$/m, `relay_addr = "${network.relay.address}"`);
    writeFileSync(join(folder, 'config.toml'), config, { mode: 0o600 });
    copyFileSync(join(network.directory, 'swarm.key'), join(folder, 'swarm.key'));
    const found = commands('rustory-peer');
    expect(found.length).toBeGreaterThan(2);
    for (const args of found) {
      const { code, stdout, stderr } = await laptop.run(...args);
      expect([args, code, stderr]).toEqual([args, 0, expect.not.stringMatching(/error/i)]);
      if (args[0] === 'peers') expect(stdout).toMatch(/hub/);
    }
    expect(found.map(([command]) => command)).toEqual(expect.arrayContaining(['peers', 'sync']));
  });
});
