// `init`: creates the files that a device requires to join a network: config.toml, the swarm key and the identity. It
// never replaces a key.
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { stringify } from 'smol-toml';
import { describeError } from '../../../shared/errors.ts';
import { makeFilePrivate, makePrivateDirectory, writePrivateFile } from '../../../shared/files.ts';
import { createSwarmKeyFile } from '../../../private-network/key.ts';
import { type PeerConfig, PROGRAM, type SettingReading } from '../../config/config.ts';
import type { SettingName } from '../../config/settings.ts';
import { loadIdentity, loadSwarmKey } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import type { Command } from './command.ts';

/** Settings that a new file always contains, so that a later change of the login name or host name has no effect. */
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
  summary: 'create the configuration and the keys of this device',
  help: `Writes config.toml from the flags and the environment, and creates the swarm key
and the identity of this device when they do not exist. --force writes
config.toml again with the values it had; keys are never replaced, because a
device without the swarm key of the others cannot connect to them. Only the
owner can read the files afterwards.

To join a network, first copy its swarm key to the path that is printed.

  ${PROGRAM.name} init --trackers http://tracker.lan:8850 \\
    --relay-addr /dns4/relay.lan/tcp/4001/p2p/12D3KooW…`,
  options: { force: { doc: 'replace an existing config.toml' } },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const { file, swarmKeyPath, identityPath } = config;
    if (file.exists && options['force'] !== true)
      throw new CommandError('failure', `${file.path} already exists; nothing was changed.`, {
        advice: 'Add --force to replace it. Keys are never replaced.',
      });
    write(file.path, () => writePrivateFile(file.path, formatConfig(config)));
    const hadSwarmKey = existsSync(swarmKeyPath);
    if (!hadSwarmKey) write(swarmKeyPath, () => void createSwarmKeyFile(swarmKeyPath));
    const { fingerprint } = loadSwarmKey(config);
    const hadIdentity = existsSync(identityPath);
    const identity = await loadIdentity(config);
    // Keys are often copied to a device with the permissions of ordinary files.
    for (const path of [swarmKeyPath, identityPath]) makeFilePrivate(path);

    await screen.out(`created  ${file.path}`);
    await screen.out(`${hadSwarmKey ? 'kept   ' : 'created'}  ${swarmKeyPath}`);
    await screen.out(`         fingerprint ${fingerprint}`);
    await screen.out(`${hadIdentity ? 'kept   ' : 'created'}  ${identityPath}`);
    await screen.out(['', `This device is ${peerIdFromPrivateKey(identity).toString()}.`]);
    await screen.out(
      hadSwarmKey
        ? `Next: ${PROGRAM.name} import ~/.bash_history, then ${PROGRAM.name} doctor.`
        : [
            'Next: copy the swarm key to your other devices over a secure channel, or replace',
            `it with theirs; then ${PROGRAM.name} doctor.`,
          ],
    );
    return 'ok';
  },
};

function write(path: string, work: () => void): void {
  try {
    makePrivateDirectory(dirname(path));
    work();
  } catch (error) {
    throw new CommandError('failure', `${path}: cannot be written: ${describeError(error)}.`, {
      cause: error,
    });
  }
}

/** Formats all settings with their documentation. Defaults are commented out. Keys that only `rr` has are kept. */
function formatConfig({ settings, file: { otherKeys } }: PeerConfig): string {
  const head =
    '# Configuration of this device, for rustory-peer and rr. Flags and RUSTORY_* variables take precedence.';
  const kept =
    Object.keys(otherKeys).length === 0
      ? []
      : ['', '# Other keys of the previous file.', stringify(otherKeys).trim()];
  const lines = settings
    .filter(({ name }) => name !== 'logLevel' && name !== 'poisonReads')
    .flatMap(formatSetting);
  return `${[head, ...lines, ...kept].join('\n')}\n`;
}

function formatSetting({ name, key, doc, fallback = '', value, origin }: SettingReading): string[] {
  const isWritten = value !== undefined && (ALWAYS_WRITTEN.has(name) || origin !== 'default');
  const text = isWritten
    ? assign(key, value)
    : `# ${assign(key, /^\d+$/.test(fallback) ? Number(fallback) : fallback)}`;
  return ['', `# ${doc}`, text];
}

function assign(key: string, value: unknown): string {
  // `rr` accepts one relay, as a string.
  const plain =
    key === 'relay_addr' && Array.isArray(value) && value.length === 1 ? (value[0] as string) : value;
  // An empty list of listen addresses is not valid.
  if (key === 'listen' && Array.isArray(value) && value.length === 0)
    return stringify({ listen: 'none' }).trim();
  return stringify({ [key]: plain instanceof RegExp ? toPattern(plain) : plain }).trim();
}

/** The pattern in the syntax of `rr`, with its flags at the front. */
function toPattern({ source, flags }: RegExp): string {
  const kept = flags.replace('u', '');
  return kept === '' ? source : `(?${kept})${source}`;
}
