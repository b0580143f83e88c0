// The commands of the README: `npm run demo` and `npm start`.
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { finished, startProgram } from '../scripts/processes.ts';
import { cleanUp, onCleanup } from '../testing/cleanup.ts';
import { makeTestDirectory } from '../testing/network.ts';
import { until } from '../testing/wait.ts';

const SCRIPTS = join(import.meta.dirname, '../scripts');

const FREE_PORTS = {
  TRACKER_LISTEN: '127.0.0.1:0',
  TRACKER_OPS_LISTEN: '127.0.0.1:0',
  RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
  RELAY_OPS_LISTEN: '127.0.0.1:0',
  RELAY_LOCAL: 'true',
};

afterEach(cleanUp);

test('npm run demo syncs two devices, prints the path of the sync, and leaves no files', async () => {
  const directory = makeTestDirectory();
  const home = join(directory, 'home');
  mkdirSync(home);
  const env = { HOME: home, TMPDIR: directory };
  const demo = await finished(startProgram('demo', join(SCRIPTS, 'demo.ts'), { env }));
  expect(demo).toMatchObject({ code: 0, stderr: '' });
  expect(demo.stdout).toMatch(
    /B reached A by +\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+\/p2p-circuit\/p2p\/\w+/,
  );
  expect(demo.stdout).toMatch(/entries received by B +3,000, all equal/);
  expect(demo.stdout).toMatch(/duplicates +0\n/);
  expect(readdirSync(directory)).toEqual(['home']);
  expect(readdirSync(home)).toEqual([]);
});

test('npm start keeps its keys across restarts and prints a configuration that works', async () => {
  const directory = makeTestDirectory();
  const relays: string[] = [];
  for (let run = 0; run < 2; run += 1) {
    const started = startProgram('start', join(SCRIPTS, 'start.ts'), { env: FREE_PORTS, cwd: directory });
    onCleanup(async () => started.stop());
    await until(() => started.stdout().includes('Ctrl-C stops both'), 'both services have started');
    const config = readFileSync(join(directory, '.rustory/config.toml'), 'utf8');
    expect(started.stdout()).toContain(/^relay_addr = .*$/m.exec(config)?.[0]);
    relays.push(/p2p\/(\w+)"/.exec(config)?.[1] ?? '');
    started.kill('SIGINT');
    expect(await started.exited).toBe(0);
  }
  expect(relays[0]).toMatch(/^12D3/);
  expect(relays[1]).toBe(relays[0]);
  for (const name of ['swarm.key', 'relay.key']) {
    expect(statSync(join(directory, '.rustory', name)).mode & 0o777).toBe(0o600);
  }
});

test('npm start prints why a service did not start, and stops the other one', async () => {
  const env = { ...FREE_PORTS, TRACKER_LISTEN: 'nowhere' };
  const directory = makeTestDirectory();
  const started = await finished(startProgram('start', join(SCRIPTS, 'start.ts'), { env, cwd: directory }));
  expect(started.code).toBe(1);
  expect(started.stderr).toContain('TRACKER_LISTEN: "nowhere" is not host:port');
});
