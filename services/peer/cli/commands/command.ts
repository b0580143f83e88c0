// The interface of the commands of `rustory-peer`, and the parsers of their options.
import type { Logger } from '../../../shared/log.ts';
import { quote } from '../../../shared/variables.ts';
import type { WireIo } from '../../../wire/wire-io.ts';
import type { PeerConfig, SettingReading } from '../../config/config.ts';
import { CommandError, type ExitName } from '../exit-codes.ts';
import type { Screen } from '../screen.ts';

export interface CommandOption {
  /** Placeholder of the value in help pages; absent for a switch. */
  readonly value?: string;
  readonly doc: string;
}

export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

export interface CommandContext {
  readonly config: PeerConfig;
  readonly options: OptionValues;
  readonly positionals: readonly string[];
  readonly screen: Screen;
  readonly log: Logger;
  /** What all connections of the process share. */
  readonly io: WireIo;
  /** Aborts on SIGINT and SIGTERM, except for a service, which handles signals itself. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  /** A former name, which still works. */
  readonly alias?: string;
  /** The first line of the help page, without the name of the program. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The text of the help page, with examples. */
  readonly help: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Maximum arguments that are not options. */
  readonly maxPositionals: number;
  /** Name of the service in log lines. Default `peer`. */
  readonly service?: string;
  /** Whether the command runs until a signal ends it, and handles signals itself. */
  readonly isService?: (options: OptionValues, positionals: readonly string[]) => boolean;
  /** Checks of the settings that only this command needs: whole sentences about what is wrong. */
  readonly checkSettings?: (settings: readonly SettingReading[]) => readonly string[];
  run(context: CommandContext): Promise<ExitName>;
}

/** An option of several commands. */
export const JSON_OPTION = { doc: 'JSON on standard output, one object per line' } as const;

/** Parses an option as a whole number. @throws CommandError when it is not from `min` to `max`, inclusive */
export function numberOption<F extends number | undefined>(
  options: OptionValues,
  name: string,
  [min, max]: readonly [number, number],
  fallback: F,
): number | F {
  const text = options[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (typeof text !== 'string' || !/^-?\d{1,15}$/.test(text) || value < min || value > max)
    throw new CommandError(
      'usage',
      `--${name}: ${quote(String(text))} is not a whole number from ${min} to ${max}.`,
    );
  return value;
}

/** The text of an option. White space counts as absent, because shell hooks pass variables that may be empty. */
export function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

/** The items of a comma-separated option; empty items are skipped. */
export function listOption(options: OptionValues, name: string): string[] | undefined {
  return textOption(options, name)
    ?.split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
