// `doctor`: checks everything that a sync depends on. Prints each result before the next check starts.
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { WireIo } from '../../../wire/wire-io.ts';
import { PROGRAM, type PeerConfig, type SettingReading } from '../../config/config.ts';
import { withHubDefaults } from '../../hub/configuration.ts';
import { createConfiguredDialer, createNode, loadSwarmKey, pause } from '../context.ts';
import {
  checkConfig,
  checkDatabase,
  checkEntries,
  checkHighRequests,
  checkIdentity,
  checkRelays,
  checkSwarmKey,
} from '../doctor-checks.ts';
import { checkDatabaseModes, checkFileModes, readModes } from '../doctor-modes.ts';
import { checkHub } from '../doctor-hub.ts';
import { checkIdentityUse } from '../doctor-identity.ts';
import { checkHubConfig, checkHubIdentity, checkOwnHub } from '../doctor-own-hub.ts';
import { checkTrackers } from '../doctor-tracker.ts';
import type { Finding } from '../finding.ts';
import { formatAmount, formatTable, type Screen, shortenPeerIds, type Style, wrap } from '../screen.ts';
import { type Command, JSON_OPTION } from './command.ts';

const MARKS: Readonly<Record<Finding['state'], readonly [mark: string, style: Style]>> = {
  ok: ['ok  ', 'green'],
  warning: ['warn', 'yellow'],
  failed: ['FAIL', 'red'],
};

/** Columns of the mark and the subject together. */
const INDENT = 19;

export const doctor: Command = {
  name: 'doctor',
  usage: 'doctor [--json]',
  summary: 'find out why a sync does not work',
  help: `Checks the configuration, the keys and the database, asks every tracker, and
connects to every relay as a sync does. Exits with 0 when no check failed. Also
prints every setting and the source of its value; tokens are never shown. If a
hub is registered, connects to it and tells what it does not have yet. If a
tracker lists this identity with another device, looks again after 31 seconds.
With the configuration of a hub (hub_secret_path) it checks the hub.

  ${PROGRAM.name} doctor
  ${PROGRAM.name} doctor --json | jq '.findings[] | select(.state == "failed")'`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config: given, options, screen, io, signal }) {
    const config = isHubConfig(given) ? withHubDefaults(given) : given;
    const isJson = options['json'] === true;
    const settings = config.settings.map((setting) => ({
      key: setting.key,
      value: shownValue(setting),
      origin: setting.origin,
    }));
    if (!isJson) {
      const rows = settings.map(({ key, value, origin }) => [key, origin, shortenPeerIds(value ?? '-')]);
      for (const line of formatTable(['SETTING', 'FROM', 'VALUE'], rows)) await screen.out(line);
      await screen.out('');
    }
    const findings: Finding[] = [];
    const report = async (found: readonly Finding[]): Promise<void> => {
      findings.push(...found);
      if (!isJson) for (const finding of found) await showFinding(finding, screen);
    };
    const onWait = (seconds: number): void =>
      screen.note(
        `A tracker lists this identity with another device. Looking again in ${seconds} seconds, because it may have been renamed.`,
      );
    await runChecks(config, { io, signal, report, onWait });
    const failed = findings.filter(({ state }) => state === 'failed').length;
    if (isJson) await screen.json({ failed, findings, settings });
    else
      await screen.out([
        '',
        `${failed === 0 ? 'No check' : formatAmount(failed, 'check', 'checks')} failed.`,
      ]);
    return failed === 0 ? 'ok' : 'failure';
  },
};

interface CheckOptions {
  /** What all connections of the process share. */
  readonly io: WireIo;
  readonly signal: AbortSignal;
  readonly report: (found: readonly Finding[]) => Promise<void>;
  /** Called when a check is repeated after a time in seconds. */
  readonly onWait: (seconds: number) => void;
}

/** The checks of a device, or of a hub when the configuration is one of a hub. */
async function runChecks(config: PeerConfig, { io, signal, report, onWait }: CheckOptions): Promise<void> {
  const isHub = isHubConfig(config);
  await report([...checkConfig(config), ...(isHub ? checkHubConfig(config) : []), ...checkFileModes(config)]);
  // Before the database is opened, which makes it private.
  const modes = readModes(config);
  const swarmKey = checkSwarmKey(config);
  const deviceIdentity = isHub ? [] : [checkIdentity(config)];
  const database = checkDatabase(config);
  const hasDatabase = database.state !== 'failed';
  // The identity of a hub is that of its database.
  const hub = isHub && hasDatabase ? await checkHubIdentity(config) : undefined;
  const identities = hub === undefined ? deviceIdentity : [hub.finding];
  await report([swarmKey, ...identities, database, ...checkDatabaseModes(config, modes)]);
  if (hasDatabase) await report([...checkHighRequests(config), ...checkEntries(config)]);
  await report(await checkTrackers(config, signal));
  const hasIdentity = identities.length > 0 && identities.every(({ state }) => state !== 'failed');
  const ownPeerId = hub?.identity && peerIdFromPrivateKey(hub.identity).toString();
  if (hasDatabase && (!isHub || hasIdentity))
    await report(await checkIdentityUse(config, { signal, onWait, sleep: pause, ownPeerId }));
  // Without both keys there are no connections.
  if (swarmKey.state !== 'failed' && hasIdentity)
    await checkFromNode(config, { io, signal, report, hasDatabase, identity: hub?.identity });
  else if (hasDatabase && !isHub)
    await report(await checkHub(config, { signal, ownPeerId: undefined, dialer: undefined }));
}

function isHubConfig({ hub }: PeerConfig): boolean {
  return hub.secretPath !== undefined;
}

interface NodeCheckOptions extends Omit<CheckOptions, 'onWait'> {
  readonly hasDatabase: boolean;
  /** The identity of the hub; `undefined` for a device. */
  readonly identity: PrivateKey | undefined;
}

/** The checks that connect to others. */
async function checkFromNode(
  config: PeerConfig,
  { io, signal, report, hasDatabase, identity }: NodeCheckOptions,
): Promise<void> {
  const node = await createNode(config, { io, identity });
  await node.start();
  try {
    await report(await checkRelays(config, node, loadSwarmKey(config).fingerprint));
    const ownPeerId = node.libp2p.peerId.toString();
    if (identity !== undefined) await report(await checkOwnHub(config, ownPeerId, signal));
    else if (hasDatabase)
      await report(
        await checkHub(config, { signal, ownPeerId, dialer: createConfiguredDialer(config, node) }),
      );
  } finally {
    await node.libp2p.stop();
  }
}

async function showFinding({ subject, state, detail, advice }: Finding, screen: Screen): Promise<void> {
  const [mark, style] = MARKS[state];
  const indent = ' '.repeat(INDENT);
  // A peer id and its address together are longer than a line, so peer ids are shortened, except that of this device.
  const shown = subject === 'relay' ? shortenPeerIds(detail) : detail;
  const head = `${mark}  ${subject.padEnd(INDENT - mark.length - 4)}  `;
  const [first = '', ...rest] = wrap(shown, screen.columns, head, indent);
  await screen.out(first, style, mark.length);
  for (const line of rest) await screen.out(line);
  if (advice === undefined) return;
  for (const line of wrap(advice, screen.columns, indent, indent)) await screen.out(line);
}

function shownValue({ isSecret, value }: SettingReading): string | undefined {
  if (value === undefined) return undefined;
  if (isSecret) return '[set]';
  return Array.isArray(value) ? value.join(', ') : String(value);
}
