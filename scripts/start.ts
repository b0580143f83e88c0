// `npm start`: runs a tracker and a relay on this machine with keys in ./.rustory, with `--hub USER_ID` also a hub of this
// user, and prints the configuration of a device. All TRACKER_… and RELAY_… variables of the environment are passed to the
// services.
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { describeError, EXIT_FAILURE } from '../services/shared/errors.ts';
import { makePrivateDirectory } from '../services/shared/files.ts';
import { mayReceiveToken } from '../services/shared/loopback.ts';
import { quote } from '../services/shared/variables.ts';
import { createSwarmKeyFile, readSwarmKey } from '../services/private-network/key.ts';
import { createHubSecret } from './local-network.ts';
import { type LogLine, type Running, startService } from './processes.ts';

const FOLDER = resolve('.rustory');
const SWARM_KEY = join(FOLDER, 'swarm.key');
const DEVICE_CONFIG = join(FOLDER, 'config.toml');
const HUB_CONFIG = join(FOLDER, 'hub.toml');
const HUB_DATABASE = join(FOLDER, 'hub.db');

/** The user in the configuration of a device when there is no hub. */
const EXAMPLE_USER = 'me';

/** Signals within this time count as one, in milliseconds: a terminal and npm both forward one Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/** Hosts of listen addresses that stand for all addresses of the machine. */
const ANY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '[::]']);

/** The addresses in the configuration of a device. */
interface NetworkAddresses {
  readonly trackerUrl: string;
  readonly relayAddress: string;
}

/** The address of this machine for other machines; loopback when it has no other address. */
function findHost(): { host: string; isLocal: boolean } {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  const external = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  return external === undefined
    ? { host: '127.0.0.1', isLocal: true }
    : { host: external.address, isLocal: false };
}

/** Creates the folder and the swarm key if they do not exist. Returns the fingerprint of the key. */
function prepareKeys(): string {
  try {
    makePrivateDirectory(FOLDER);
    chmodSync(FOLDER, 0o700);
  } catch (error) {
    throw new Error(`${FOLDER}: the folder for the keys cannot be created.`, { cause: error });
  }
  return (existsSync(SWARM_KEY) ? readSwarmKey(SWARM_KEY) : createSwarmKeyFile(SWARM_KEY)).fingerprint;
}

/** The variables of this process that are passed to a service. */
function inherited(prefix: string): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => name.startsWith(prefix) || name === 'LOG_LEVEL');
  return Object.fromEntries(own.map(([name, value]) => [name, value ?? '']));
}

function printLog(line: string): void {
  process.stderr.write(`${line}\n`);
}

function startTracker(): Running {
  const hasTokens = process.env['TRACKER_TOKENS_FILE'] !== undefined;
  return startService('tracker', {
    env: {
      TRACKER_OPS_LISTEN: '127.0.0.1:9090',
      ...(hasTokens ? {} : { TRACKER_ALLOW_UNAUTHENTICATED: 'true' }),
      ...inherited('TRACKER_'),
    },
    onLine: printLog,
  });
}

function startRelay(isLocal: boolean): Running {
  const hasSeed = process.env['RELAY_IDENTITY_SEED_FILE'] !== undefined;
  return startService('relay', {
    env: {
      RELAY_SWARM_KEY_FILE: SWARM_KEY,
      RELAY_LOCAL: String(isLocal),
      RELAY_OPS_LISTEN: '127.0.0.1:9091',
      ...(hasSeed ? {} : { RELAY_IDENTITY_KEY_FILE: join(FOLDER, 'relay.key') }),
      ...inherited('RELAY_'),
    },
    onLine: printLog,
  });
}

/**
 * A hub of this user, whose devices reach it through the relay. Its other settings are in `hub.toml`: the RUSTORY_…
 * variables of a shell are those of the device on this machine.
 */
function startHub(userId: string, { trackerUrl, relayAddress }: NetworkAddresses): Running {
  return startService('peer', {
    args: ['hub'],
    env: {
      HOME: FOLDER,
      RUSTORY_CONFIG: HUB_CONFIG,
      RUSTORY_USER_ID: userId,
      RUSTORY_DB_PATH: HUB_DATABASE,
      RUSTORY_HUB_SECRET_PATH: createHubSecret(FOLDER),
      RUSTORY_SWARM_KEY_PATH: SWARM_KEY,
      RUSTORY_TRACKERS: trackerUrl,
      // What is sent to an address of this machine does not leave it.
      RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true',
      RUSTORY_RELAY_ADDR: relayAddress,
      RUSTORY_OPS_HOST: '127.0.0.1',
    },
    onLine: printLog,
  });
}

/** The log lines with the addresses of both services. Waits for both, so that the log has the problems of both. */
async function waitForStart(tracker: Running, relay: Running): Promise<[LogLine, LogLine]> {
  const waits = [tracker.waitFor('listening'), relay.waitFor('listening')] as const;
  const [trackerLine, relayLine] = await Promise.allSettled(waits);
  if (trackerLine.status === 'rejected' && relayLine.status === 'rejected')
    throw new Error('The tracker and the relay did not start; their messages are above.');
  if (trackerLine.status === 'rejected')
    throw new Error('The tracker did not start; its messages are above.');
  if (relayLine.status === 'rejected') throw new Error('The relay did not start; its messages are above.');
  return [trackerLine.value, relayLine.value];
}

async function waitForAddresses(tracker: Running, relay: Running, host: string): Promise<NetworkAddresses> {
  const [trackerLine, relayLine] = await waitForStart(tracker, relay);
  const [, bound = '', port] = /^(.*):(\d+)$/.exec(String(trackerLine['address'])) ?? [];
  const scheme = process.env['TRACKER_TLS_CERT_FILE'] === undefined ? 'http' : 'https';
  const addresses = relayLine['addresses'] as string[];
  return {
    trackerUrl: `${scheme}://${ANY_ADDRESS.has(bound) ? host : bound}:${port}`,
    relayAddress: addresses.find((address) => address.includes(host)) ?? addresses[0] ?? '',
  };
}

function writeDeviceConfig({ trackerUrl, relayAddress }: NetworkAddresses, userId: string): string {
  const text = `# Copy this file to ~/.config/rustory/config.toml on each device.
user_id = ${JSON.stringify(userId)}
trackers = ["${trackerUrl}"]
relay_addr = "${relayAddress}"
swarm_key_path = "~/.config/rustory/swarm.key"
`;
  writeFileSync(DEVICE_CONFIG, text, { mode: 0o600 });
  return text;
}

function printInstructions(addresses: NetworkAddresses, fingerprint: string, hubUser?: string): void {
  const config = writeDeviceConfig(addresses, hubUser ?? EXAMPLE_USER);
  const hub =
    hubUser === undefined ? '' : `\n  hub        of the user ${hubUser}, with its history in ${HUB_DATABASE}`;
  const isOpen = process.env['TRACKER_TOKENS_FILE'] === undefined;
  const note =
    '  The tracker accepts requests without a token: everyone who can reach it can list your devices.\n' +
    '  Set TRACKER_TOKENS_FILE to a file of tokens to require one.\n\n';
  const isClear = !isOpen && !mayReceiveToken(new URL(addresses.trackerUrl));
  const clearNote =
    '  rr 1.x and rustory-peer never send a token over http to another machine. For devices with a token,\n' +
    '  put a proxy with a certificate of a public authority in front of the tracker, or set\n' +
    '  TRACKER_TLS_CERT_FILE and TRACKER_TLS_KEY_FILE, and use its https URL.\n\n';
  process.stdout.write(`
  tracker    ${addresses.trackerUrl}
  relay      ${addresses.relayAddress}
  swarm key  ${SWARM_KEY}  (fingerprint ${fingerprint})${hub}

  On each device, copy the swarm key to ~/.config/rustory/swarm.key and
  ${DEVICE_CONFIG} to ~/.config/rustory/config.toml.
  Keep the swarm key secret: every device that has it can join the network.

${config.replaceAll(/^/gm, '    ').trimEnd()}

${isOpen ? note : ''}${isClear ? clearNote : ''}  Press Ctrl-C to stop ${hubUser === undefined ? 'both' : 'all'}.

`);
}

/** Forwards signals to the services. A second Ctrl-C aborts their drains. */
function forwardSignals(services: readonly Running[]): { stop(): void; isStopping(): boolean } {
  let latestMs = Number.NEGATIVE_INFINITY;
  function stop(): void {
    if (performance.now() - latestMs < SAME_SIGNAL_MS) return;
    latestMs = performance.now();
    for (const service of services) service.kill('SIGTERM');
  }
  process.on('SIGINT', stop).on('SIGTERM', stop);
  // The reader of the output has ended, as `head` does: nobody would see the services run on.
  process.stdout.on('error', stop);
  return { stop, isStopping: () => latestMs > 0 };
}

/** The user of `--hub`; `undefined` without this option. @throws Error for other arguments */
function readHubUser(args: readonly string[]): string | undefined {
  const [option, userId, ...rest] = args;
  const unknown = option === '--hub' ? rest[0] : option;
  if (unknown !== undefined)
    throw new Error(
      `The argument ${quote(unknown)} is not known; set the variables of docs/environment.md instead.`,
    );
  if (option === '--hub' && (userId === undefined || userId.startsWith('-')))
    throw new Error('The option --hub requires a user id: npm start -- --hub USER_ID.');
  return userId;
}

/** Runs the services until a signal, or until one of them ends. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const hubUser = readHubUser(args);
  const fingerprint = prepareKeys();
  const { host, isLocal } = findHost();
  const tracker = startTracker();
  const relay = startRelay(isLocal);
  const services = [tracker, relay];
  const signals = forwardSignals(services);
  let wasRequested = false;
  try {
    const addresses = await waitForAddresses(tracker, relay, host);
    if (hubUser !== undefined) {
      const hub = startHub(hubUser, addresses);
      services.push(hub);
      if (signals.isStopping()) hub.kill('SIGTERM');
      await hub.waitFor('registered').catch(() => {
        throw new Error('The hub did not start; its messages are above.');
      });
    }
    printInstructions(addresses, fingerprint, hubUser);
    await Promise.race(services.map(async ({ exited }) => exited));
    wasRequested = signals.isStopping();
  } finally {
    if (!signals.isStopping()) signals.stop();
    await Promise.all(services.map(async ({ exited }) => exited));
  }
  const codes = await Promise.all(services.map(async ({ exited }) => exited));
  return wasRequested && codes.every((code) => code === 0) ? 0 : EXIT_FAILURE;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`npm start: ${describeError(error)}.\n`);
  process.exitCode = EXIT_FAILURE;
}
