// The pages of `--help`, at most 80 columns wide. They are generated from the tables that the command line is parsed
// with.
import { PROGRAM, type Setting } from '../config/config.ts';
import type { Command } from './commands/command.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { wrap } from './screen.ts';

/** Maximum length of a line. */
const COLUMNS = 80;

const { name: NAME, purpose: PURPOSE } = PROGRAM;

/** The page of the program. */
export function formatProgramHelp(commands: readonly Command[]): string {
  return `${NAME}: ${PURPOSE}

Usage: ${NAME} COMMAND [options]

Commands:
${alignLines(commands.map(({ name, summary }) => [name, summary]))}

  ${NAME} COMMAND --help     the options of a command, with examples
  ${NAME} settings --help    all settings: flags, variables, config.toml
  ${NAME} --version

A first sync between two devices that have the same swarm key:

  ${NAME} init --trackers http://tracker.lan:8850 --relay-addr /dns4/…
  ${NAME} import ~/.bash_history
  ${NAME} serve            # on one device
  ${NAME} sync             # on the other device

Exit codes:
${alignLines(Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]))}
`;
}

/** The page of one command. */
export function formatCommandHelp({ usage, summary, help, options, alias }: Command): string {
  const rows = Object.entries(options).map(([name, { value, doc }]): [string, string] => [
    value === undefined ? `--${name}` : `--${name} ${value}`,
    doc,
  ]);
  return `${NAME} ${usage}

${capitalize(summary)}.

${help}
${alias === undefined ? '' : `\n"${alias}" is another name of this command.\n`}
Options:
${alignLines([...rows, ['--config FILE', 'configuration file to read']])}

Every setting is also an option: ${NAME} settings --help
`;
}

/** The page of the settings. */
export function formatSettingsHelp(settings: readonly Setting[]): string {
  const entries = settings.map(({ key, variable, flag, doc, fallback }) =>
    [
      `  ${key}`,
      ...wrap(doc, COLUMNS, '    ', '    '),
      `    ${flag === undefined ? 'no flag' : `--${flag}`}, ${variable}`,
      ...(fallback === undefined ? [] : [`    default: ${fallback}`]),
      '',
    ].join('\n'),
  );
  return `A value is taken from the flag, else from the environment variable, else from
config.toml, else from the default. "${NAME} doctor" shows each value
and its source.

${entries.join('\n')}
The file is shared with rr: ~/.config/rustory/config.toml, or the one named by
--config or RUSTORY_CONFIG.
`;
}

/** Rows in two columns; a text that is too long continues on the next line. */
function alignLines(rows: ReadonlyArray<readonly [string, string]>): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  const indent = ' '.repeat(width + 4);
  return rows
    .flatMap(([left, right]) => wrap(right, COLUMNS, `  ${left.padEnd(width)}  `, indent))
    .join('\n');
}

function capitalize(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
