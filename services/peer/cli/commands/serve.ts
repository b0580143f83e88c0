// `serve` and `daemon`: the commands that make this device one that others can sync with.
import { CommandError } from '../exit-codes.ts';
import { createNode, openHistory } from '../context.ts';
import { createBaseParts, createServingParts, runParts } from '../components.ts';
import type { Command, CommandContext } from './command.ts';
import { createSyncWatch, readSyncOptions, WATCH_OPTIONS } from './sync.ts';

export const serve: Command = {
  name: 'serve',
  usage: 'serve',
  summary: 'let your other devices pull from this one',
  help: `Holds reservations on up to two relays, registers with the trackers, and answers
pulls until it is stopped (Ctrl-C or SIGTERM). When a relay or a tracker goes
away it comes back by itself. Logs are JSON lines on standard error.

  rustory-peer serve
  rustory-peer serve --listen none       # reachable through relays only`,
  options: {},
  maxPositionals: 0,
  isService: () => true,
  async run({ config, log }) {
    checkReachable({ config });
    const history = openHistory(config);
    const node = await createNode(config, config.settings.listen);
    await runParts(
      [...createBaseParts(history, node, log), ...createServingParts(config, history, node, log)],
      log,
    );
    return 'ok';
  },
};

export const daemon: Command = {
  name: 'daemon',
  usage: 'daemon [--interval-sec N] [--limit N]',
  summary: 'serve and sync --watch in one process',
  help: `What a device runs all the time: answers the pulls of the others, and pulls from
them every so often, under one identity.

  rustory-peer daemon --interval-sec 60`,
  options: WATCH_OPTIONS,
  maxPositionals: 0,
  isService: () => true,
  async run(context) {
    const { config, log } = context;
    checkReachable(context);
    readSyncOptions(context);
    const history = openHistory(config);
    const node = await createNode(config, config.settings.listen);
    const parts = [
      ...createBaseParts(history, node, log),
      ...createServingParts(config, history, node, log),
      createSyncWatch(context, history, node),
    ];
    await runParts(parts, log);
    return 'ok';
  },
};

function checkReachable({ config: { settings, path } }: Pick<CommandContext, 'config'>): void {
  if ((settings.relayAddr ?? []).length > 0 || settings.listen.length > 0) return;
  throw new CommandError(
    'config',
    'nobody could reach this device: it has neither a relay nor a listen address',
    {
      advice: `set relay_addr or listen in ${path}`,
    },
  );
}
