// Runs the images: a tracker with which a device registers, a relay, and two devices that sync through it.
import { join } from 'node:path';
import type { Checks } from '../../testing/checks.ts';
import { difference, parseLines, type SyncResult } from '../../scripts/local-network.ts';
import { type Container, type ContainerOptions, MEMORY_BYTES, type Sandbox } from './container.ts';

export interface ServiceImages {
  /** Names of the images. */
  readonly tracker: string;
  readonly relay: string;
  readonly hub: string;
  /** Contains the keys, the tokens and the folders of the devices. */
  readonly folder: string;
}

/** Prints the restrictions under which the container runs. */
const PRINT_RESTRICTIONS = `
import { readFileSync, writeFileSync } from 'node:fs';
const status = readFileSync('/proc/1/status', 'utf8');
const field = (name) => new RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(status)[1];
let writes = true;
try { writeFileSync('/app/probe', ''); } catch { writes = false; }
process.stdout.write(JSON.stringify({ uid: field('Uid'), capabilities: field('CapEff'), noNewPrivileges: field('NoNewPrivs'), writes }));
`;

/** Registers and lists a device with the fields that an rr client sends. */
const REGISTER_AND_LIST = `
const headers = { 'Content-Type': 'application/json', Authorization: 'Bearer a-test-token' };
const peer = { peer_id: '12D3KooWGC4etjFdNDZfvCmNZCniLRdPwn9CznMG4RH1x3CjKdRj', addrs: ['/ip4/192.0.2.1/tcp/4001'], meta: { user_id: 'rr', device_id: null } };
const api = 'http://127.0.0.1:8850/api/v1/peers';
const registered = await fetch(api + '/register', { method: 'POST', headers, body: JSON.stringify(peer) });
const listed = await (await fetch(api + '?user_id=rr', { headers })).json();
const refused = await fetch(api + '?user_id=rr');
process.stdout.write(JSON.stringify({ registered: registered.status, listed: listed.peers.map((one) => one.peer_id), refused: refused.status }));
`;

const PRINT_METRICS = `process.stdout.write(await (await fetch('http://127.0.0.1:9091/metrics')).text());`;

const PRINT_READINESS_OF_HUB = `process.stdout.write(String((await fetch('http://127.0.0.1:9092/readyz')).status));`;

export async function checkServices(checks: Checks, sandbox: Sandbox, images: ServiceImages): Promise<void> {
  await checks.check('a tracker without tokens refuses to start, with exit code 78', async () => {
    const { code, stderr } = await sandbox.runToEnd(images.tracker);
    if (code !== 78 || !stderr.includes('TRACKER_TOKENS_FILE'))
      throw new Error(`The tracker exited with code ${code}. Its standard error:\n${stderr}`);
  });
  const tracker = await startTracker(checks, sandbox, images);
  const relay = await startRelay(checks, sandbox, images);
  if (tracker === undefined || relay === undefined) return;
  const hub = await startHub(checks, sandbox, images, relay);
  if (hub === undefined) return;
  for (const [name, container] of Object.entries({ tracker, relay, hub })) {
    await checks.check(`the ${name} runs without privileges and cannot write to its root`, async () => {
      const actual = await container.evaluate(PRINT_RESTRICTIONS);
      const expected = {
        uid: '65532',
        capabilities: '0000000000000000',
        noNewPrivileges: '1',
        writes: false,
      };
      if (actual !== JSON.stringify(expected)) throw new Error(`The restrictions are ${actual}.`);
    });
  }
  await checks.check('a device registers and is listed; a request without a token is refused', async () => {
    const result = JSON.parse(await tracker.evaluate(REGISTER_AND_LIST)) as Record<string, unknown>;
    if (result['registered'] !== 200 || result['refused'] !== 401)
      throw new Error(`The statuses are ${JSON.stringify(result)}.`);
    return `listed ${String(result['listed'])}`;
  });
  await checkSync(checks, sandbox, images, relay);
  for (const [name, container] of Object.entries({ tracker, relay, hub })) {
    await checks.check(`the ${name} stops on SIGTERM with exit code 0`, async () => {
      const code = await container.stop();
      if (code !== 0) throw new Error(`The exit code is ${code}. The log:\n${await container.logs()}`);
    });
  }
}

async function startTracker(
  checks: Checks,
  sandbox: Sandbox,
  { tracker, folder }: ServiceImages,
): Promise<Container | undefined> {
  let started: Container | undefined;
  await checks.check('the tracker starts', async () => {
    const env = { TRACKER_TOKENS_FILE: '/run/secrets/tokens' };
    started = await sandbox.start(tracker, {
      env,
      mounts: { '/run/secrets/tokens': join(folder, 'tokens') },
    });
    await started.waitForLog('"msg":"started"');
  });
  return started;
}

async function startRelay(
  checks: Checks,
  sandbox: Sandbox,
  { relay, folder }: ServiceImages,
): Promise<Container | undefined> {
  let started: Container | undefined;
  await checks.check('the relay starts, uses the native cipher, and exports its memory limit', async () => {
    started = await sandbox.start(relay, {
      env: { RELAY_LOCAL: 'true', RELAY_IDENTITY_SEED_FILE: '/run/secrets/seed' },
      mounts: {
        '/run/secrets/swarm.key': join(folder, 'swarm.key'),
        '/run/secrets/seed': join(folder, 'seed'),
      },
    });
    await started.waitForLog('"msg":"started"');
    const metrics = await started.evaluate(PRINT_METRICS);
    if (!(await started.logs()).includes('"cipher":"sodium-native"'))
      throw new Error(`The relay does not log the cipher "sodium-native":\n${await started.logs()}`);
    if (!metrics.includes(`process_memory_limit_bytes ${MEMORY_BYTES}`))
      throw new Error(`The relay does not export a memory limit of ${MEMORY_BYTES} bytes.`);
    if (!metrics.includes('rustory_relay_cipher_info{cipher="sodium-native"} 1'))
      throw new Error('The relay does not export the cipher "sodium-native".');
  });
  return started;
}

/** Starts a hub of another user than that of the devices. */
async function startHub(
  checks: Checks,
  sandbox: Sandbox,
  { hub, folder }: ServiceImages,
  relay: Container,
): Promise<Container | undefined> {
  let started: Container | undefined;
  await checks.check('the hub starts, is registered with a circuit, and is ready', async () => {
    const { addresses } = JSON.parse(await relay.waitForLog('"msg":"listening"')) as { addresses: string[] };
    started = await sandbox.start(hub, {
      env: {
        HOME: '/tmp',
        RUSTORY_USER_ID: 'hub-user',
        RUSTORY_HUB_SECRET_PATH: '/run/secrets/hub',
        RUSTORY_TRACKERS: 'http://127.0.0.1:8850',
        RUSTORY_TRACKER_TOKEN: 'a-test-token',
        RUSTORY_RELAY_ADDR: addresses[0] ?? '',
        RUSTORY_SWARM_KEY_PATH: '/run/secrets/swarm.key',
      },
      mounts: {
        '/data': `${join(folder, 'hub')}:rw`,
        '/run/secrets/hub': join(folder, 'hub-secret'),
        '/run/secrets/swarm.key': join(folder, 'swarm.key'),
      },
    });
    await started.waitForLog('/p2p-circuit');
    const status = await started.evaluate(PRINT_READINESS_OF_HUB);
    if (status !== '200') throw new Error(`The status of /readyz is ${status}.`);
  });
  return started;
}

async function checkSync(
  checks: Checks,
  sandbox: Sandbox,
  images: ServiceImages,
  relay: Container,
): Promise<void> {
  await checks.check('two devices sync through the relay and use the native cipher', async () => {
    const { addresses } = JSON.parse(await relay.waitForLog('"msg":"listening"')) as { addresses: string[] };
    const device = deviceOf(images, addresses[0] ?? '');
    const imported = await sandbox.runToEnd(
      images.tracker,
      device('a', 'import', '--shell', 'bash', '/data/history'),
    );
    if (imported.code !== 0) throw new Error(imported.stderr);
    const serving = await sandbox.start(images.tracker, device('a', 'serve'));
    await serving.waitForLog('/p2p-circuit');
    await serving.waitForLog('"cipher":"sodium-native"');
    const { stdout, stderr, code } = await sandbox.runToEnd(images.tracker, device('b', 'sync', '--json'));
    const [result] = parseLines<SyncResult>(stdout);
    if (code !== 0 || result === undefined) throw new Error(`${stdout}${stderr}`);
    if (!result.address.includes('/p2p-circuit'))
      throw new Error(`The devices synced through ${result.address}.`);
    const { missing, surplus, rows } = difference(...databases(images.folder));
    if (missing + surplus > 0)
      throw new Error(`The histories differ: ${missing} entries are missing, ${surplus} are surplus.`);
    return `${rows} entries`;
  });
}

/** The container options to run the peer of the tracker image as a device. */
function deviceOf(
  { folder }: ServiceImages,
  relay: string,
): (name: string, ...args: string[]) => ContainerOptions {
  return (name, ...args) => ({
    entrypoint: 'node',
    args: ['/app/peer.js', ...args],
    env: {
      HOME: '/data',
      RUSTORY_DB_PATH: '/data/history.db',
      RUSTORY_USER_ID: 'demo',
      RUSTORY_DEVICE_ID: name,
      RUSTORY_TRACKERS: 'http://127.0.0.1:8850',
      RUSTORY_TRACKER_TOKEN: 'a-test-token',
      RUSTORY_RELAY_ADDR: relay,
      RUSTORY_SWARM_KEY_PATH: '/run/secrets/swarm.key',
      RUSTORY_P2P_IDENTITY_KEY_PATH: '/data/identity.key',
    },
    mounts: {
      '/data': `${join(folder, name)}:rw`,
      '/run/secrets/swarm.key': join(folder, 'swarm.key'),
      '/data/history': join(folder, 'history'),
    },
  });
}

function databases(folder: string): [string, string] {
  return [join(folder, 'a/history.db'), join(folder, 'b/history.db')];
}
