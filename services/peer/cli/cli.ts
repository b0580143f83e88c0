// The command line of `rustory-peer`: finds the command, reads its options and the configuration, runs it, and
// turns whatever it throws into a message and an exit code.
import { parseArgs } from 'node:util';
import { ConfigError, describeError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/log.ts';
import { VERSION } from '../../shared/program.ts';
import type { Command, OptionValues } from './commands/command.ts';
import { doctor } from './commands/doctor.ts';
import { gridTest } from './commands/network-test.ts';
import { entries, importHistory, record } from './commands/history.ts';
import { init } from './commands/init.ts';
import { peers } from './commands/peers.ts';
import { daemon, serve } from './commands/serve.ts';
import { swarmKey, syncStatus } from './commands/status.ts';
import { sync } from './commands/sync.ts';
import { describeSettings, loadConfig, wantsColour } from '../config/config.ts';
import { CommandError, EXIT_CODES } from './exit-codes.ts';
import { formatCommandHelp, formatProgramHelp, formatSettingsHelp, PROGRAM } from './help.ts';
import { createScreen, type Output, type Screen } from './screen.ts';

const COMMANDS: readonly Command[] = [
  init,
  importHistory,
  record,
  entries,
  serve,
  sync,
  daemon,
  peers,
  syncStatus,
  swarmKey,
  doctor,
  gridTest,
];

/** What a shell calls the end by a signal: 128 and the signal's number. */
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

export interface CliOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** Runs the command that the arguments name and resolves to the exit code. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<number> {
  const { environment, stdout, stderr } = options;
  const screen = createScreen({
    stdout,
    stderr,
    colour: wantsColour(environment),
    clock: () => performance.now(),
  });
  try {
    return await dispatch(args, screen, environment);
  } catch (error) {
    screen.endProgress();
    return explain(error, screen);
  }
}

async function dispatch(
  args: readonly string[],
  screen: Screen,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const [name, ...rest] = args;
  const page = answerHelp(name, rest, environment);
  if (page !== undefined) {
    await screen.out(page.trimEnd());
    return EXIT_CODES.ok.code;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const asked = name === 'help' ? rest[0] : name;
    throw new CommandError(
      'usage',
      asked === undefined ? 'which command?' : `there is no command ${JSON.stringify(asked)}`,
      { advice: `see ${PROGRAM} --help` },
    );
  }
  return runCommand(command, rest, screen, environment);
}

function answerHelp(
  name: string | undefined,
  rest: readonly string[],
  environment: NodeJS.ProcessEnv,
): string | undefined {
  if (name === '--version') return `${PROGRAM} ${VERSION}`;
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0))
    return formatProgramHelp(COMMANDS);
  const asksHelp = name === 'help' || rest.some((arg) => arg === '--help' || arg === '-h');
  if (!asksHelp) return undefined;
  const topic = name === 'help' ? rest[0] : name;
  if (topic === 'settings') return formatSettingsHelp(describeSettings(environment));
  const command = COMMANDS.find((one) => one.name === topic);
  return command === undefined ? undefined : formatCommandHelp(command);
}

async function runCommand(
  command: Command,
  args: readonly string[],
  screen: Screen,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { options, flags, path, positionals } = readArguments(command, args, environment);
  const config = loadConfig({ flags, path, environment });
  const log = createLogger('peer', config.settings.logLevel, 2);
  const isService = command.isService?.(options) === true;
  for (const warning of config.warnings) {
    if (isService) log.warn({ warning }, 'configuration');
    else screen.note(`warning: ${warning}`);
  }
  const stop = new AbortController();
  let stoppedBy: keyof typeof SIGNAL_EXIT_CODES | undefined;
  const onSignal = (signal: keyof typeof SIGNAL_EXIT_CODES): void => {
    // Who asks twice does not want to wait for a clean end.
    if (stoppedBy !== undefined) process.exit(SIGNAL_EXIT_CODES[signal]);
    stoppedBy = signal;
    stop.abort(new Error(`stopped by ${signal}`));
  };
  if (!isService) process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const exit = await command.run({ config, options, positionals, screen, log, signal: stop.signal });
    return stoppedBy === undefined ? EXIT_CODES[exit].code : SIGNAL_EXIT_CODES[stoppedBy];
  } catch (error) {
    if (stoppedBy === undefined) throw error;
    return SIGNAL_EXIT_CODES[stoppedBy];
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function readArguments(command: Command, args: readonly string[], environment: NodeJS.ProcessEnv) {
  const settings = describeSettings(environment).flatMap((info) =>
    info.flag === undefined ? [] : [{ ...info, flag: info.flag }],
  );
  const own = Object.entries(command.options).map(
    ([name, { value }]) =>
      [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }] as const,
  );
  const known = Object.fromEntries([
    ...settings.map(({ flag }) => [flag, { type: 'string' as const }] as const),
    ['config', { type: 'string' as const }] as const,
    ...own,
  ]);
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: known,
      allowPositionals: true,
      strict: true,
    });
    if (positionals.length > command.maxPositionals)
      throw new Error(`unexpected argument ${JSON.stringify(positionals[command.maxPositionals])}`);
    const options = values as OptionValues;
    const flags = Object.fromEntries(
      settings.flatMap(({ name, flag }) =>
        typeof options[flag] === 'string' ? [[name, options[flag]]] : [],
      ),
    );
    return {
      options,
      flags,
      path: typeof options['config'] === 'string' ? options['config'] : undefined,
      positionals,
    };
  } catch (error) {
    // What Node goes on to say is about arguments that begin with a dash, and no command takes any.
    const [problem = ''] = describeError(error).split('. To specify a positional', 1);
    throw new CommandError('usage', problem, {
      advice: `see ${PROGRAM} ${command.name} --help`,
    });
  }
}

/** Says what went wrong and what to do next; answers the exit code. */
function explain(error: unknown, screen: Screen): number {
  if (error instanceof ConfigError) {
    screen.note(`${PROGRAM}: the configuration cannot be used:`);
    for (const problem of error.problems) screen.note(`  - ${problem}`);
    return EXIT_CODES.config.code;
  }
  // The reader of a pipe has enough, as `head` does: no failure of ours.
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'EPIPE')
    return EXIT_CODES.ok.code;
  const exit = error instanceof CommandError ? error.exit : 'failure';
  screen.note(`${PROGRAM}: ${error instanceof CommandError ? error.message : describeError(error)}`);
  if (error instanceof CommandError && error.advice !== undefined) screen.note(`  ${error.advice}`);
  return EXIT_CODES[exit].code;
}
