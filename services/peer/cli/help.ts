// The texts of `--help`. They fit 80 columns and are made from the same tables that parse the command line.
import type { Command } from './commands/command.ts';
import type { SettingInfo } from '../config/config.ts';
import { EXIT_CODES } from './exit-codes.ts';

export const PROGRAM = 'rustory-peer';

/** The page of the program itself. */
export function formatProgramHelp(commands: readonly Command[]): string {
  return `${PROGRAM}: keeps the shell history of your devices in sync, peer to peer.

Usage: ${PROGRAM} COMMAND [options]

Commands:
${alignLines(commands.map(({ name, summary }) => [name, summary]))}

  ${PROGRAM} COMMAND --help     what a command does, with examples
  ${PROGRAM} settings --help    all settings: flags, variables, config.toml
  ${PROGRAM} --version

A first sync, on two devices that share a swarm key:

  ${PROGRAM} init --trackers http://tracker.lan:8850 --relay-addr /dns4/…
  ${PROGRAM} import ~/.bash_history
  ${PROGRAM} serve            # on the one device
  ${PROGRAM} sync             # on the other

Exit codes:
${alignLines(Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]))}
`;
}

/** The page of one command. */
export function formatCommandHelp({ usage, summary, help, options }: Command): string {
  const rows = Object.entries(options).map(([name, { value, doc }]): [string, string] => [
    value === undefined ? `--${name}` : `--${name} ${value}`,
    doc,
  ]);
  return `${PROGRAM} ${usage}

${capitalise(summary)}.

${help}

Options:
${alignLines([...rows, ['--config FILE', 'read this instead of the usual config.toml']])}

Every setting is also an option: ${PROGRAM} settings --help
`;
}

/** The page of the settings. */
export function formatSettingsHelp(infos: readonly SettingInfo[]): string {
  const entries = infos.map(
    ({ key, variable, flag, doc, fallback }) =>
      `  ${key}\n    ${doc}\n    ${flag === undefined ? 'no flag' : `--${flag}`}, ${variable}${
        fallback === undefined ? '' : `\n    default: ${fallback}`
      }\n`,
  );
  return `Settings are taken from flags, then from the environment, then from config.toml,
then from their defaults. «${PROGRAM} doctor» shows what is in force and why.

${entries.join('\n')}
The file is the one of rr: ~/.config/rustory/config.toml, or what --config or
RUSTORY_CONFIG names.
`;
}

function alignLines(rows: ReadonlyArray<readonly [string, string]>): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

function capitalise(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
