// The services of the images at work: a tracker that devices register with, a relay, and two devices that sync through it.
import { join } from 'node:path';
import type { Checks } from '../../testing/checks.ts';
import { difference, parseLines, type SyncResult } from '../../scripts/local-network.ts';
import { type Container, type ContainerOptions, MEMORY_BYTES, type Sandbox } from './container.ts';

export interface Grid {
  /** Names of the images. */
  readonly tracker: string;
  readonly relay: string;
  /** Keys, tokens and the folders of the devices. */
  readonly folder: string;
}

/** What a container that is locked in shows of itself. */
const LOCKS = `
import { readFileSync, writeFileSync } from 'node:fs';
const status = readFileSync('/proc/1/status', 'utf8');
const field = (name) => new RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(status)[1];
let writes = true;
try { writeFileSync('/app/probe', ''); } catch { writes = false; }
process.stdout.write(JSON.stringify({ uid: field('Uid'), capabilities: field('CapEff'), noNewPrivileges: field('NoNewPrivs'), writes }));
`;

/** A device as an rr client writes it, registered and listed. */
const REGISTER = `
const headers = { 'Content-Type': 'application/json', Authorization: 'Bearer a-token-of-the-tests' };
const peer = { peer_id: '12D3KooWGC4etjFdNDZfvCmNZCniLRdPwn9CznMG4RH1x3CjKdRj', addrs: ['/ip4/192.0.2.1/tcp/4001'], meta: { user_id: 'rr', device_id: null } };
const api = 'http://127.0.0.1:8850/api/v1/peers';
const registered = await fetch(api + '/register', { method: 'POST', headers, body: JSON.stringify(peer) });
const listed = await (await fetch(api + '?user_id=rr', { headers })).json();
const refused = await fetch(api + '?user_id=rr');
process.stdout.write(JSON.stringify({ registered: registered.status, listed: listed.peers.map((one) => one.peer_id), refused: refused.status }));
`;

const METRICS = `process.stdout.write(await (await fetch('http://127.0.0.1:9091/metrics')).text());`;

export async function checkServices(checks: Checks, sandbox: Sandbox, grid: Grid): Promise<void> {
  await checks.check('a tracker without tokens refuses to start, with exit code 78', async () => {
    const { code, stderr } = await sandbox.finish(grid.tracker);
    if (code !== 78 || !stderr.includes('TRACKER_TOKENS_FILE'))
      throw new Error(`ended with ${code}: ${stderr}`);
  });
  const tracker = await startTracker(checks, sandbox, grid);
  const relay = await startRelay(checks, sandbox, grid);
  if (tracker === undefined || relay === undefined) return;
  for (const [name, container] of Object.entries({ tracker, relay })) {
    await checks.check(`the ${name} runs as nobody, without capabilities, and cannot write`, async () => {
      const found = await container.evaluate(LOCKS);
      const locks = { uid: '65532', capabilities: '0000000000000000', noNewPrivileges: '1', writes: false };
      if (found !== JSON.stringify(locks)) throw new Error(found);
    });
  }
  await checks.check('a device registers and is listed, and without a token it is refused', async () => {
    const answer = JSON.parse(await tracker.evaluate(REGISTER)) as Record<string, unknown>;
    if (answer['registered'] !== 200 || answer['refused'] !== 401) throw new Error(JSON.stringify(answer));
    return `listed ${String(answer['listed'])}`;
  });
  await checkSync(checks, sandbox, grid, relay);
  for (const [name, container] of Object.entries({ tracker, relay })) {
    await checks.check(`the ${name} stops on SIGTERM with exit code 0`, async () => {
      const code = await container.stop();
      if (code !== 0) throw new Error(`exit code ${code}:\n${await container.logs()}`);
    });
  }
}

async function startTracker(
  checks: Checks,
  sandbox: Sandbox,
  { tracker, folder }: Grid,
): Promise<Container | undefined> {
  let started: Container | undefined;
  await checks.check('the tracker starts', async () => {
    const env = { TRACKER_TOKENS_FILE: '/run/secrets/tokens' };
    started = await sandbox.start(tracker, {
      env,
      mounts: { '/run/secrets/tokens': join(folder, 'tokens') },
    });
    await started.says('"msg":"started"');
  });
  return started;
}

async function startRelay(
  checks: Checks,
  sandbox: Sandbox,
  { relay, folder }: Grid,
): Promise<Container | undefined> {
  let started: Container | undefined;
  await checks.check(
    'the relay starts, runs on the native cipher, and knows how much memory it may use',
    async () => {
      started = await sandbox.start(relay, {
        env: { RELAY_LOCAL: 'true', RELAY_IDENTITY_SEED_FILE: '/run/secrets/seed' },
        mounts: {
          '/run/secrets/swarm.key': join(folder, 'swarm.key'),
          '/run/secrets/seed': join(folder, 'seed'),
        },
      });
      await started.says('"msg":"started"');
      const metrics = await started.evaluate(METRICS);
      if (!(await started.logs()).includes('"cipher":"sodium-native"')) throw new Error(await started.logs());
      if (!metrics.includes(`process_memory_limit_bytes ${MEMORY_BYTES}`))
        throw new Error('knows no memory limit');
      if (!metrics.includes('rustory_relay_cipher_info{cipher="sodium-native"} 1'))
        throw new Error('no such metric');
    },
  );
  return started;
}

async function checkSync(checks: Checks, sandbox: Sandbox, grid: Grid, relay: Container): Promise<void> {
  await checks.check('two devices sync through the relay, on the native cipher as well', async () => {
    const { addresses } = JSON.parse(await relay.says('"msg":"listening"')) as { addresses: string[] };
    const device = deviceOf(grid, addresses[0] ?? '');
    const imported = await sandbox.finish(
      grid.tracker,
      device('a', 'import', '--shell', 'bash', '/data/history'),
    );
    if (imported.code !== 0) throw new Error(imported.stderr);
    const serving = await sandbox.start(grid.tracker, device('a', 'serve'));
    await serving.says('/p2p-circuit');
    await serving.says('"cipher":"sodium-native"');
    const { stdout, stderr, code } = await sandbox.finish(grid.tracker, device('b', 'sync', '--json'));
    const [result] = parseLines<SyncResult>(stdout);
    if (code !== 0 || result === undefined) throw new Error(`${stdout}${stderr}`);
    if (!result.address.includes('/p2p-circuit')) throw new Error(`went by ${result.address}`);
    const { missing, surplus, rows } = difference(...databases(grid.folder));
    if (missing + surplus > 0) throw new Error(`${missing} missing, ${surplus} surplus`);
    return `${rows} entries`;
  });
}

/** How the peer of the tracker's image runs as one device. */
function deviceOf({ folder }: Grid, relay: string): (name: string, ...args: string[]) => ContainerOptions {
  return (name, ...args) => ({
    entrypoint: 'node',
    args: ['/app/peer.js', ...args],
    env: {
      HOME: '/data',
      RUSTORY_DB_PATH: '/data/history.db',
      RUSTORY_USER_ID: 'demo',
      RUSTORY_DEVICE_ID: name,
      RUSTORY_TRACKERS: 'http://127.0.0.1:8850',
      RUSTORY_TRACKER_TOKEN: 'a-token-of-the-tests',
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
