// `init`: makes what a device needs to join a grid: config.toml, the swarm key, the identity. Never replaces a key.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { stringify } from 'smol-toml';
import { describeError } from '../../../shared/errors.ts';
import { createSwarmKeyFile } from '../../../private-network/key.ts';
import { describeSettings, type Config } from '../../config/config.ts';
import { CommandError } from '../exit-codes.ts';
import { loadIdentity, loadSwarmKey } from '../context.ts';
import type { SettingName } from '../../config/settings.ts';
import type { Command } from './command.ts';

/** Settings that a fresh file sets in any case, so that a changed login or host name changes nothing. */
const ALWAYS_WRITTEN: ReadonlySet<SettingName> = new Set<SettingName>([
  'dbPath',
  'userId',
  'deviceId',
  'swarmKeyPath',
  'p2pIdentityKeyPath',
]);

export const init: Command = {
  name: 'init',
  usage: 'init [--force] [--trackers LIST] [--relay-addr LIST]',
  summary: 'make the configuration and the keys of this device',
  help: `Writes config.toml from the flags and the environment, and makes the swarm key
and the identity of this device where they are missing. --force writes
config.toml anew, with what it had set; keys are never replaced, because a lost
swarm key locks every device out.

To join a grid, first copy its swarm.key to the place that is printed.

  rustory-peer init --trackers http://tracker.lan:8850 \\
    --relay-addr /dns4/relay.lan/tcp/4001/p2p/12D3KooW…`,
  options: { force: { doc: 'replace config.toml when there is one' } },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const { path, settings } = config;
    if (existsSync(path) && options['force'] !== true)
      throw new CommandError('failure', `${path} exists already; nothing was changed`, {
        advice: 'add --force to replace it (keys are kept in any case)',
      });
    write(path, () => writeFileSync(path, formatConfig(config), { mode: 0o600 }));
    const hadSwarmKey = existsSync(settings.swarmKeyPath);
    if (!hadSwarmKey) write(settings.swarmKeyPath, () => void createSwarmKeyFile(settings.swarmKeyPath));
    const { fingerprint } = loadSwarmKey(config);
    const hadIdentity = existsSync(settings.p2pIdentityKeyPath);
    const identity = await loadIdentity(config);

    await screen.out(`made  ${path}`);
    await screen.out(`${hadSwarmKey ? 'kept' : 'made'}  ${settings.swarmKeyPath}`);
    await screen.out(`      fingerprint ${fingerprint}`);
    await screen.out(`${hadIdentity ? 'kept' : 'made'}  ${settings.p2pIdentityKeyPath}`);
    await screen.out(`\nThis device is ${peerIdFromPrivateKey(identity).toString()}.`);
    await screen.out(
      hadSwarmKey
        ? 'Next: rustory-peer import ~/.bash_history, then rustory-peer doctor'
        : 'Next: copy the swarm key to your other devices (never by mail), or replace it\nby theirs; then rustory-peer doctor',
    );
    return 'ok';
  },
};

function write(path: string, work: () => void): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    work();
  } catch (error) {
    throw new CommandError('failure', `cannot write ${path}: ${describeError(error)}`);
  }
}

/**
 * Every setting with its documentation: those that were given, or always count, as they are, the rest commented out; then
 * what the file before had for `rr` alone.
 */
function formatConfig({ settings, origins, others }: Config): string {
  const lines = describeSettings().flatMap(({ name, key, doc, fallback }) => {
    if (name === 'logLevel') return [];
    const isWritten = ALWAYS_WRITTEN.has(name) || origins[name] !== 'default';
    const value = settings[name];
    const text =
      isWritten && value !== undefined
        ? assign(key, value)
        : `# ${assign(key, /^\d+$/.test(fallback ?? '') ? Number(fallback) : (fallback ?? ''))}`;
    return ['', `# ${doc}`, text];
  });
  const head =
    '# Configuration of this device, for rustory-peer and rr. Flags and RUSTORY_* variables go first.';
  const kept =
    Object.keys(others).length === 0 ? [] : ['', '# Kept from the file before.', stringify(others).trim()];
  return `${[head, ...lines, ...kept].join('\n')}\n`;
}

function assign(key: string, value: unknown): string {
  // `rr` takes one relay; a list of one is written as it reads it.
  const plain =
    key === 'relay_addr' && Array.isArray(value) && value.length === 1 ? (value[0] as string) : value;
  return stringify({ [key]: plain instanceof RegExp ? toPattern(plain) : plain }).trim();
}

/** Flags stand at the front, where `rr` expects them. */
function toPattern({ source, flags }: RegExp): string {
  const kept = flags.replace('u', '');
  return kept === '' ? source : `(?${kept})${source}`;
}
