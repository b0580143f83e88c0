// `npm start`: a tracker and a relay on this machine, with keys that stay in ./.rustory, and what a device needs to join.
// Every TRACKER_… and RELAY_… variable of the environment is passed on.
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { describeError, EXIT_FAILURE } from '../services/shared/errors.ts';
import { createSwarmKeyFile, readSwarmKey } from '../services/private-network/key.ts';
import { type Running, startService } from './processes.ts';

const FOLDER = resolve('.rustory');
const SWARM_KEY = join(FOLDER, 'swarm.key');
/** Signals closer together than this are one, in milliseconds. */
const SAME_SIGNAL_MS = 500;
const DEVICE_CONFIG = join(FOLDER, 'config.toml');

/** The address by which other machines reach this one; loopback where it has no other. */
function findHost(): { host: string; isLocal: boolean } {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  const outward = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  return outward === undefined
    ? { host: '127.0.0.1', isLocal: true }
    : { host: outward.address, isLocal: false };
}

function prepareKeys(): string {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  chmodSync(FOLDER, 0o700);
  return (existsSync(SWARM_KEY) ? readSwarmKey(SWARM_KEY) : createSwarmKeyFile(SWARM_KEY)).fingerprint;
}

/** What of our own environment goes to a service. */
function inherited(prefix: string): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => name.startsWith(prefix) || name === 'LOG_LEVEL');
  return Object.fromEntries(own.map(([name, value]) => [name, value ?? '']));
}

function show(line: string): void {
  process.stderr.write(`${line}\n`);
}

function start(isLocal: boolean): { tracker: Running; relay: Running } {
  const hasTokens = process.env['TRACKER_TOKENS_FILE'] !== undefined;
  const tracker = startService('tracker', {
    env: { ...(hasTokens ? {} : { TRACKER_ALLOW_UNAUTHENTICATED: 'true' }), ...inherited('TRACKER_') },
    onLine: show,
  });
  const relay = startService('relay', {
    env: {
      RELAY_SWARM_KEY_FILE: SWARM_KEY,
      RELAY_LOCAL: String(isLocal),
      ...(process.env['RELAY_IDENTITY_SEED_FILE'] === undefined
        ? { RELAY_IDENTITY_KEY_FILE: join(FOLDER, 'relay.key') }
        : {}),
      ...inherited('RELAY_'),
    },
    onLine: show,
  });
  return { tracker, relay };
}

function writeDeviceConfig(trackerUrl: string, relayAddress: string): string {
  const text = `# Put this at ~/.config/rustory/config.toml on each device.
user_id = "me"
trackers = ["${trackerUrl}"]
relay_addr = "${relayAddress}"
swarm_key_path = "~/.config/rustory/swarm.key"
`;
  writeFileSync(DEVICE_CONFIG, text, { mode: 0o600 });
  return text;
}

function explain(trackerUrl: string, relayAddress: string, fingerprint: string): void {
  const config = writeDeviceConfig(trackerUrl, relayAddress);
  const open = process.env['TRACKER_TOKENS_FILE'] === undefined;
  process.stdout.write(`
  tracker    ${trackerUrl}
  relay      ${relayAddress}
  swarm key  ${SWARM_KEY}  (fingerprint ${fingerprint})

  On each device, copy the swarm key to ~/.config/rustory/swarm.key (keep it secret: whoever has it can join),
  and ${DEVICE_CONFIG} to ~/.config/rustory/config.toml:

${config.replaceAll(/^/gm, '    ').trimEnd()}

${open ? '  The tracker asks for no token: whoever reaches it can list your devices. TRACKER_TOKENS_FILE names a file of tokens.\n' : ''}  Ctrl-C stops both.

`);
}

async function main(): Promise<number> {
  const fingerprint = prepareKeys();
  const { host, isLocal } = findHost();
  const services = Object.values(start(isLocal));
  const [tracker, relay] = services;
  if (tracker === undefined || relay === undefined) return EXIT_FAILURE;
  let wasAsked = false;
  let asked = Number.NEGATIVE_INFINITY;
  const onSignal = (): void => {
    // A terminal and npm both pass one Ctrl-C on; a second one, later, ends the drain of both at once.
    if (performance.now() - asked < SAME_SIGNAL_MS) return;
    asked = performance.now();
    for (const service of services) service.kill('SIGTERM');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);

  try {
    const [trackerLine, relayLine] = await Promise.all([
      tracker.waitFor('listening'),
      relay.waitFor('listening'),
    ]);
    const port = String(trackerLine['address']).split(':').at(-1);
    const addresses = relayLine['addresses'] as string[];
    explain(
      `http://${host}:${port}`,
      addresses.find((address) => address.includes(host)) ?? addresses[0] ?? '',
      fingerprint,
    );
    await Promise.race(services.map(async ({ exited }) => exited));
    wasAsked = asked > 0;
  } finally {
    if (asked < 0) onSignal();
    await Promise.all(services.map(async ({ exited }) => exited));
  }
  const codes = await Promise.all(services.map(async ({ exited }) => exited));
  return wasAsked && codes.every((code) => code === 0) ? 0 : EXIT_FAILURE;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`npm start: ${describeError(error)}\n`);
  process.exitCode = EXIT_FAILURE;
}
