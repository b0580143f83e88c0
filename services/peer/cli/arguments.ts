// Parses the arguments of one command: its own options, and all settings as flags.
import { parseArgs } from 'node:util';
import { quote } from '../../shared/variables.ts';
import { PROGRAM, type Setting } from '../config/config.ts';
import type { SettingName } from '../config/settings.ts';
import type { Command, OptionValues } from './commands/command.ts';
import { CommandError } from './exit-codes.ts';

export interface CommandArguments {
  readonly options: OptionValues;
  /** The texts of the settings that were given as flags. */
  readonly flags: Partial<Record<SettingName, string>>;
  /** The path given with `--config`. */
  readonly path: string | undefined;
  readonly positionals: readonly string[];
}

type OptionTypes = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>;

/** @throws CommandError for unknown options, missing values and too many arguments */
export function readArguments(
  command: Command,
  args: readonly string[],
  settings: readonly Setting[],
): CommandArguments {
  const types = optionTypes(command, settings);
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: types,
    allowPositionals: true,
    // Not strict, so that the errors are those of this program and not those of Node.js.
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    const problem = token.kind === 'option' ? findProblem(token, types) : undefined;
    if (problem !== undefined) throw usageError(command, problem);
  }
  const unexpected = positionals[command.maxPositionals];
  if (unexpected !== undefined) throw usageError(command, `Unexpected argument ${quote(unexpected)}.`);
  const options = values as OptionValues;
  const textOf = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  const flags = settings.flatMap(({ name, flag }) => {
    const text = flag === undefined ? undefined : textOf(flag);
    return text === undefined ? [] : [[name, text] as const];
  });
  return { options, flags: Object.fromEntries(flags), path: textOf('config'), positionals };
}

function optionTypes(command: Command, settings: readonly Setting[]): OptionTypes {
  const flags = settings.flatMap(({ flag }) => (flag === undefined ? [] : [flag]));
  return Object.fromEntries([
    ...[...flags, 'config'].map((name) => [name, { type: 'string' as const }] as const),
    ...Object.entries(command.options).map(
      ([name, { value }]) =>
        [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }] as const,
    ),
  ]);
}

interface OptionToken {
  readonly name: string;
  /** The option as it was given, such as `--peers`. */
  readonly rawName: string;
  readonly value?: string | undefined;
  /** Whether the value was given after `=`. */
  readonly inlineValue?: boolean | undefined;
}

/** Finds the problem of an option, as a whole sentence. */
function findProblem(
  { name, rawName, value, inlineValue }: OptionToken,
  types: OptionTypes,
): string | undefined {
  const type = Object.hasOwn(types, name) && rawName.startsWith('--') ? types[name]?.type : undefined;
  if (type === undefined) return `${rawName}: Unknown option.`;
  if (type === 'boolean') return value === undefined ? undefined : `${rawName}: The option has no value.`;
  if (value === undefined) return `${rawName}: The value is missing.`;
  if (inlineValue !== true && value.length > 1 && value.startsWith('-'))
    return `${rawName}: ${quote(value)} looks like an option. To use it as the value, write ${rawName}=${value}.`;
  return undefined;
}

function usageError({ name }: Command, problem: string): CommandError {
  return new CommandError('usage', problem, { advice: `See ${PROGRAM.name} ${name} --help.` });
}
