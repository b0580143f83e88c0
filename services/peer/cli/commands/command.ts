// What every command of `rustory-peer` is: a value with its help, its options and what it does.
import type { Logger } from '../../../shared/log.ts';
import type { Config } from '../../config/config.ts';
import { CommandError, type ExitName } from '../exit-codes.ts';
import type { Screen } from '../screen.ts';

export interface CommandOption {
  /** The word that stands for the value in help texts; absent for a switch. */
  readonly value?: string;
  readonly doc: string;
}

export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

export interface CommandContext {
  readonly config: Config;
  readonly options: OptionValues;
  readonly positionals: readonly string[];
  readonly screen: Screen;
  readonly log: Logger;
  /** Aborts when the user wants the command to end; a service looks after signals itself. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  /** The arguments, as the first line of its help shows them. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What to know before using it, with examples. */
  readonly help: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Most arguments that are no options. */
  readonly maxPositionals: number;
  /** A service ends by a signal and takes care of that itself. */
  readonly isService?: (options: OptionValues) => boolean;
  run(context: CommandContext): Promise<ExitName>;
}

/** Options that several commands have. */
export const JSON_OPTION = { doc: 'JSON on standard output, one object a line, for scripts' } as const;

/** A whole number given by an option. @throws CommandError that says what is allowed. */
export function readNumber<F extends number | undefined>(
  options: OptionValues,
  name: string,
  [min, max]: readonly [number, number],
  fallback: F,
): number | F {
  const text = options[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (typeof text !== 'string' || !/^-?\d{1,15}$/.test(text) || value < min || value > max)
    throw new CommandError('usage', `--${name} must be a whole number from ${min} to ${max}`);
  return value;
}

/** A text given by an option. Nothing but space counts as absent: shell hooks pass on variables that may be empty. */
export function readText(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
