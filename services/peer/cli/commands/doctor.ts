// `doctor`: looks at everything that a sync needs and says what is wrong, in the order in which it would matter.
import {
  checkConfig,
  checkDatabase,
  checkIdentity,
  checkRelays,
  checkSwarmKey,
  checkTrackers,
  type Finding,
} from '../doctor-checks.ts';
import { type Config, describeSettings } from '../../config/config.ts';
import { createNode, loadSwarmKey } from '../context.ts';
import {
  formatAmount,
  formatTable,
  printable,
  type Screen,
  shortenPeerIds,
  type Style,
  wrap,
} from '../screen.ts';
import type { SettingName, Settings } from '../../config/settings.ts';
import { type Command, JSON_OPTION } from './command.ts';

const MARKS: Readonly<Record<Finding['state'], readonly [mark: string, style: Style]>> = {
  ok: ['ok  ', 'green'],
  warning: ['warn', 'yellow'],
  failed: ['FAIL', 'red'],
};

/** Columns that the mark and the subject take. */
const INDENT = 17;

export const doctor: Command = {
  name: 'doctor',
  usage: 'doctor [--json]',
  summary: 'find out why a sync does not work',
  help: `Checks configuration, keys and database, asks every tracker, and connects to
every relay as a sync would. Ends with 0 when nothing failed. Also prints every
setting and where its value came from; tokens are never shown.

  rustory-peer doctor
  rustory-peer doctor --json | jq '.findings[] | select(.state == "failed")'`,
  options: { json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen, signal }) {
    const isJson = options['json'] === true;
    const settings = describeSettings().map(({ name, key, secret }) => ({
      key,
      value: secret && config.settings[name] !== undefined ? '[set]' : toText(config.settings[name]),
      origin: config.origins[name],
    }));
    if (!isJson) {
      const rows = settings.map(({ key, value, origin }) => [key, origin, shortenPeerIds(value ?? '-')]);
      for (const line of formatTable(['SETTING', 'FROM', 'VALUE'], rows)) await screen.out(line);
      await screen.out('');
    }
    const findings: Finding[] = [];
    // Each is on the screen before the next one takes its time.
    for (const check of listChecks(config, signal, findings)) {
      const found = await check();
      findings.push(...found);
      if (!isJson) for (const finding of found) await showFinding(finding, screen);
    }
    const failed = findings.filter(({ state }) => state === 'failed').length;
    if (isJson) await screen.out(JSON.stringify({ failed, findings, settings }));
    else await screen.out(`\n${failed === 0 ? 'nothing' : formatAmount(failed, 'check', 'checks')} failed`);
    return failed === 0 ? 'ok' : 'failure';
  },
};

type Check = () => Promise<Finding[]>;

function listChecks(config: Config, signal: AbortSignal, findings: readonly Finding[]): Check[] {
  return [
    async () => checkConfig(config),
    async () => [checkSwarmKey(config), checkIdentity(config), checkDatabase(config)],
    async () => checkTrackers(config, signal),
    async () => checkGrid(config, findings),
  ];
}

/** Relays can only be asked with both keys. */
async function checkGrid(config: Config, findings: readonly Finding[]): Promise<Finding[]> {
  if (findings.some(({ subject, state }) => state === 'failed' && /key|identity/.test(subject))) return [];
  const node = await createNode(config);
  await node.start();
  try {
    return await checkRelays(config, node, loadSwarmKey(config).fingerprint);
  } finally {
    await node.libp2p.stop();
  }
}

async function showFinding({ subject, state, detail, advice }: Finding, screen: Screen): Promise<void> {
  const [mark, style] = MARKS[state];
  const indent = ' '.repeat(INDENT);
  // A whole peer id and its address together fill more than a line; this device's own is shown as it is.
  const shown = printable(subject === 'relay' ? shortenPeerIds(detail) : detail);
  const head = `${mark}  ${subject.padEnd(INDENT - mark.length - 4)}  `;
  const [line = '', ...rest] = wrap(shown, screen.columns, head, indent);
  await screen.out(line.replace(mark, screen.style(style, mark)));
  for (const more of rest) await screen.out(more);
  if (advice === undefined) return;
  for (const more of wrap(advice, screen.columns, indent, indent)) await screen.out(more);
}

function toText(value: Settings[SettingName]): string | undefined {
  if (value === undefined) return undefined;
  return Array.isArray(value) ? value.join(', ') : String(value);
}
