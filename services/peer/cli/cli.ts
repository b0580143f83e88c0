// The command line of `rustory-peer`: finds the command, parses its arguments, reads the configuration, runs the
// command, and converts errors to a message and an exit code.
import { monotonicMs } from '../../shared/clock.ts';
import { describeError, ConfigError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/log.ts';
import { VERSION } from '../../shared/program.ts';
import { quote } from '../../shared/variables.ts';
import { createWireIo } from '../../wire/wire-io.ts';
import { listSettings, PROGRAM, readPeerConfig, wantsColor } from '../config/config.ts';
import { readArguments } from './arguments.ts';
import { backup } from './commands/backup.ts';
import type { Command } from './commands/command.ts';
import { deleteEntries } from './commands/delete.ts';
import { doctor } from './commands/doctor.ts';
import { entries, record } from './commands/history.ts';
import { importHistory } from './commands/import.ts';
import { hub } from './commands/hub.ts';
import { init } from './commands/init.ts';
import { networkTest } from './commands/network-test.ts';
import { peers } from './commands/peers.ts';
import { restore } from './commands/restore.ts';
import { daemon, serve } from './commands/serve.ts';
import { swarmKey, syncStatus } from './commands/status.ts';
import { sync } from './commands/sync.ts';
import { adviceOf, CommandError, EXIT_CODES, exitOf, SIGNAL_EXIT_CODES } from './exit-codes.ts';
import { formatCommandHelp, formatProgramHelp, formatSettingsHelp } from './help.ts';
import { createScreen, type Output, type Screen } from './screen.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  init,
  importHistory,
  record,
  entries,
  deleteEntries,
  serve,
  sync,
  daemon,
  hub,
  peers,
  syncStatus,
  swarmKey,
  backup,
  restore,
  doctor,
  networkTest,
];

/** The help topic that lists all settings. */
const SETTINGS_TOPIC = 'settings';

export interface CliOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Clock of the progress in milliseconds. Default: the monotonic clock. */
  readonly nowMs?: () => number;
}

/** Runs the command in the arguments and resolves to the exit code. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<number> {
  const { environment, stdout, stderr, nowMs = monotonicMs } = options;
  const screen = createScreen({ stdout, stderr, useColor: wantsColor(environment), nowMs });
  try {
    return await dispatch(args, screen, environment);
  } catch (error) {
    screen.endProgress();
    return showError(error, screen);
  }
}

async function dispatch(
  args: readonly string[],
  screen: Screen,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const [name, ...rest] = args;
  const page = findHelp(name, rest, environment);
  if (page !== undefined) {
    await screen.out(page.trimEnd().split('\n'));
    return EXIT_CODES.ok.code;
  }
  const command = findCommand(name);
  if (command === undefined) {
    const unknown = name === 'help' ? rest[0] : name;
    const problem = unknown === undefined ? 'The command is missing.' : `${quote(unknown)} is not a command.`;
    throw new CommandError('usage', problem, { advice: `See ${PROGRAM.name} --help.` });
  }
  return runCommand(command, rest, screen, environment);
}

function findCommand(given: string | undefined): Command | undefined {
  return COMMANDS.find(({ name, alias }) => given !== undefined && (name === given || alias === given));
}

/** The text to print if the arguments request help or the version. */
function findHelp(
  name: string | undefined,
  rest: readonly string[],
  environment: NodeJS.ProcessEnv,
): string | undefined {
  if (name === '--version') return `${PROGRAM.name} ${VERSION}`;
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0))
    return formatProgramHelp(COMMANDS);
  const asksHelp = name === 'help' || rest.some((arg) => arg === '--help' || arg === '-h');
  if (!asksHelp) return undefined;
  const topic = name === 'help' ? rest[0] : name;
  if (topic === SETTINGS_TOPIC) return formatSettingsHelp(listSettings(environment));
  const command = findCommand(topic);
  return command === undefined ? undefined : formatCommandHelp(command);
}

async function runCommand(
  command: Command,
  args: readonly string[],
  screen: Screen,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { options, flags, path, positionals } = readArguments(command, args, listSettings(environment));
  const config = readPeerConfig({ flags, path, environment, check: command.checkSettings });
  const log = createLogger(command.service ?? 'peer', config.logLevel, 2);
  const io = createWireIo({ isPoisoned: config.poisonReads });
  const isService = command.isService?.(options, positionals) === true;
  for (const warning of config.warnings) {
    if (isService) log.warn({ warning }, 'configuration');
    else screen.note(`warning: ${warning}`);
  }
  const stopping = new AbortController();
  let stoppedBy: keyof typeof SIGNAL_EXIT_CODES | undefined;
  const onSignal = (signal: keyof typeof SIGNAL_EXIT_CODES): void => {
    // A second signal ends the process immediately.
    if (stoppedBy !== undefined) process.exit(SIGNAL_EXIT_CODES[signal]);
    stoppedBy = signal;
    stopping.abort(new Error(`Stopped by ${signal}.`));
  };
  // A service handles signals itself.
  if (!isService) process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const exit = await command.run({
      config,
      options,
      positionals,
      screen,
      log,
      io,
      signal: stopping.signal,
    });
    return stoppedBy === undefined ? EXIT_CODES[exit].code : SIGNAL_EXIT_CODES[stoppedBy];
  } catch (error) {
    if (stoppedBy === undefined) throw error;
    return SIGNAL_EXIT_CODES[stoppedBy];
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Prints the error and its advice, and returns the exit code. */
function showError(error: unknown, screen: Screen): number {
  const exit = exitOf(error);
  const { code } = EXIT_CODES[exit];
  if (exit === 'ok') return code;
  if (error instanceof ConfigError) {
    screen.note(`${PROGRAM.name}: the configuration cannot be used:`);
    for (const problem of error.problems) screen.note(`  - ${problem}`);
    return code;
  }
  // The message of an error with its own exit code is complete. Other errors are described together with their causes.
  const text = error instanceof Error && exit !== 'failure' ? error.message : `${describeError(error)}.`;
  screen.note(`${PROGRAM.name}: ${text}`);
  const advice = adviceOf(error);
  if (advice !== undefined) screen.note(`  ${advice}`);
  return code;
}
