// `hub`: the always-on device of one user, and the commands about its identity.
import { existsSync } from 'node:fs';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { ConfigError } from '../../../shared/errors.ts';
import { quote } from '../../../shared/variables.ts';
import { type PeerConfig, PROGRAM } from '../../config/config.ts';
import { ensureDatabaseId, renewDatabaseId } from '../../history/database-id.ts';
import { claimForUser } from '../../history/hub-user.ts';
import { readAnnounced } from '../../hub/announce.ts';
import { checkHubSettings, withHubDefaults } from '../../hub/configuration.ts';
import { hubIdentity, shownId } from '../../hub/identity.ts';
import { groupRelays } from '../../network/relays.ts';
import { type History, openHistory } from '../context.ts';
import { CommandError, type ExitName } from '../exit-codes.ts';
import { type HubIdentity, loadHubIdentity, loadHubSecret } from '../hub-identity.ts';
import { runHub } from '../hub-process.ts';
import { checkIntegrity } from '../integrity-component.ts';
import type { Screen } from '../screen.ts';
import { type Command, type CommandContext, JSON_OPTION } from './command.ts';

export const hub: Command = {
  name: 'hub',
  service: 'hub',
  usage: 'hub [identity | new-identity] [--json]',
  summary: 'run the always-on device of one user',
  help: `Without an argument: runs until SIGTERM. Stores the whole history of one user
and gives it to all devices of this user, so that they need not be on at the
same time: answers their pulls, accepts their pushes, and pulls from those that
can be reached. It does not push; devices pull from it. It has no shell and
records nothing. Logs are JSON lines on standard error; /livez, /readyz and
/metrics are on ops_host and ops_port.

It requires user_id and hub_secret_path, and to be useful trackers and
relay_addr, or announce_addrs. device_id is "hub" and listen is port 4002 unless
they are set.

The peer id follows from the secret, the user and the id of the database. With
another database the hub is another peer, with which all devices sync from the
start; nothing is stored twice.

  identity       prints the peer id and the addresses, without starting. A
                 database that does not exist is created, with its id.
  new-identity   gives the database a new id, and with it the hub a new peer id.
                 Needed after an older copy of the database was put back, for
                 example a snapshot of its disk: devices believe that the hub
                 has what they sent after that copy. A hub that is running ends
                 within seconds with exit code 5, to be started again.

  openssl rand -hex 32 > hub.secret && chmod 600 hub.secret
  ${PROGRAM.name} hub --user-id ada --hub-secret-path hub.secret \\
    --db-path /var/lib/rustory/history.db
  ${PROGRAM.name} hub identity --json`,
  options: { json: JSON_OPTION },
  maxPositionals: 1,
  isService: (_, positionals) => positionals.length === 0,
  checkSettings: checkHubSettings,
  async run(context) {
    const [action] = context.positionals;
    if (action === 'identity') return showIdentity(context);
    if (action === 'new-identity') return renewIdentity(context);
    if (action !== undefined)
      throw new CommandError('usage', `${quote(action)} is neither identity nor new-identity.`, {
        advice: `See ${PROGRAM.name} hub --help.`,
      });
    const config = withHubDefaults(context.config);
    const secret = await loadHubSecret(config);
    const { log, io } = context;
    const path = config.databasePath;
    // Before the database is opened, because opening it may write to it.
    const integrity = existsSync(path) ? [await checkIntegrity({ path, log })] : [];
    // Pushes of other devices are acknowledged.
    const history = openHistory(config, { isDurable: true });
    checkUser(history, config);
    const databaseId = ensureDatabaseId(history.database);
    const identity = await hubIdentity(secret, config.userId, databaseId);
    await runHub(config, history, { io, databaseId, identity, secret, components: integrity }, log);
    return 'ok';
  },
};

/** @throws ConfigError when the database is that of another user */
function checkUser({ database }: History, { userId }: PeerConfig): void {
  const claimed = claimForUser(database, userId);
  if (claimed.ok) return;
  database.close();
  throw new ConfigError([
    `user_id: ${database.path} has the history of user ${quote(claimed.otherUser)}, which the hub would give to all devices of user ${quote(userId)}; set user_id to the user of the database, or db_path to a new file.`,
  ]);
}

async function showIdentity({ config: given, screen, options }: CommandContext): Promise<ExitName> {
  const config = withHubDefaults(given);
  const shown = describe(config, await loadHubIdentity(config), screen);
  if (options['json'] === true) await screen.json(shown);
  else await screen.out(formatIdentity(shown));
  return 'ok';
}

async function renewIdentity({ config: given, screen, options }: CommandContext): Promise<ExitName> {
  const config = withHubDefaults(given);
  if (!existsSync(config.databasePath))
    throw new CommandError('database', `${config.databasePath} does not exist, so that no hub has used it.`, {
      advice: 'Check db_path. The first start of the hub creates the database and its identity.',
    });
  const shown = describe(config, await loadHubIdentity(config, renewDatabaseId), screen);
  if (options['json'] === true) await screen.json(shown);
  else
    await screen.out([
      ...formatIdentity(shown),
      '',
      'A hub that is running with this database ends within seconds with exit code 5 and has to be',
      'started again, which systemd and Kubernetes do. Every device then syncs with it from the start.',
    ]);
  return 'ok';
}

/** What a user or a script needs to know about the hub. */
function describe(config: PeerConfig, { databaseId, identity }: HubIdentity, screen: Screen) {
  const peerId = peerIdFromPrivateKey(identity).toString();
  const { addresses, isPublic, problems } = readAnnounced(config.hub.announced, peerId);
  // The hub itself does not start with them.
  for (const problem of problems) screen.note(`warning: announce_addrs: ${problem}`);
  const relays = isPublic ? [] : groupRelays(config.relays);
  return {
    peer_id: peerId,
    database_id: shownId(databaseId),
    user_id: config.userId,
    device_id: config.deviceId,
    addrs: [
      ...relays.flatMap((relay) => relay.addresses.map((each) => `${each}/p2p-circuit/p2p/${peerId}`)),
      ...addresses,
    ],
  };
}

function formatIdentity(shown: ReturnType<typeof describe>): string[] {
  return [
    `peer id   ${shown.peer_id}`,
    `database  ${shown.database_id}…`,
    `user      ${shown.user_id}`,
    `device    ${shown.device_id}`,
    ...shown.addrs.map((address) => `address   ${address}`),
  ];
}
