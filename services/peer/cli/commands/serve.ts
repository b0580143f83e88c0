// `serve` and `daemon`: the commands that let other devices sync with this one.
import { PROGRAM, type PeerConfig } from '../../config/config.ts';
import { createBaseComponents, createServing, runComponents } from '../components.ts';
import { createNode, openHistory } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import type { Command } from './command.ts';
import { createSyncWatch, readSyncOptions, WATCH_OPTIONS } from './sync.ts';

export const serve: Command = {
  name: 'serve',
  usage: 'serve',
  summary: 'let your other devices sync with this one',
  help: `Holds reservations on up to two relays, registers with the trackers and answers
pulls and pushes until SIGINT (Ctrl-C) or SIGTERM. Requests lost reservations
and registrations again. Logs are JSON lines on standard error.

  ${PROGRAM.name} serve
  ${PROGRAM.name} serve --listen none       # reachable through relays only`,
  options: {},
  maxPositionals: 0,
  isService: () => true,
  async run({ config, log, io }) {
    checkReachable(config);
    // Pushes of other devices are acknowledged.
    const history = openHistory(config, { isDurable: true });
    const node = await createNode(config, { io, listen: config.listen });
    const { components } = createServing(config, history, node, log);
    await runComponents([...createBaseComponents(history, node, log), ...components], log);
    return 'ok';
  },
};

export const daemon: Command = {
  name: 'daemon',
  usage: 'daemon [--interval-sec N] [--limit N] [--push]',
  summary: 'run serve and sync --watch in one process',
  help: `The command for a device that is always on: answers the pulls and
pushes of other devices, and pulls from them at an interval, with one identity.

  ${PROGRAM.name} daemon --interval-sec 60`,
  options: WATCH_OPTIONS,
  maxPositionals: 0,
  isService: () => true,
  async run(context) {
    const { config, log, io } = context;
    checkReachable(config);
    readSyncOptions(context);
    // Pushes of other devices are acknowledged.
    const history = openHistory(config, { isDurable: true });
    const node = await createNode(config, { io, listen: config.listen });
    const { components, registrations } = createServing(config, history, node, log);
    const watch = createSyncWatch(context, { history, node, registrations });
    await runComponents([...createBaseComponents(history, node, log), ...components, watch], log);
    return 'ok';
  },
};

function checkReachable({ relays, listen, file }: PeerConfig): void {
  if (relays.length > 0 || listen.length > 0) return;
  throw new CommandError(
    'config',
    'No device can reach this one: it has neither a relay nor a listen address.',
    { advice: `Set relay_addr or listen in ${file.path}.` },
  );
}
