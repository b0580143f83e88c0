import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { finished, type Running, startProgram } from '../../scripts/processes.ts';
import { currentBundle } from '../../testing/bundle.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { makeEntries, makeTestDirectory, startNetwork } from '../../testing/network.ts';
import { startSilentServer, UNKNOWN_PEER } from '../../testing/silent-server.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';

afterEach(cleanUp);

describe('a sync', () => {
  test('that reaches some peers and not others exits with 4', async () => {
    const network = await startNetwork();
    const [server, laptop] = [network.device('server'), network.device('laptop')];
    server.insert(makeEntries('server', 10));
    const peerId = String((await (await server.serve()).waitFor('node started'))['peerId']);
    const { code, stdout, stderr } = await laptop.run('sync', '--peers', `${UNKNOWN_PEER},${peerId}`);
    expect(code).toBe(4);
    expect(stdout).toMatch(/ok$/m);
    expect(stdout).toMatch(/failed$/m);
    expect(stderr).toMatch(/ reservation: .*no\s+reservation/s);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('that %s ends exits with %i', async (signal, code) => {
    const network = await startNetwork();
    // A relay that never responds keeps the sync busy.
    const silent = await startSilentServer();
    const syncing = network.device('laptop').start('sync', '--peers', silent.address);
    await until(() => silent.connections() > 0, 'the sync is connecting');
    syncing.kill(signal);
    expect(await syncing.exited).toBe(code);
  });
});

/** Runs a command with pipes, on a device with more entries than a pipe and the buffers of both programs hold. */
async function startPiped(...args: string[]) {
  const laptop = (await startNetwork()).device('laptop');
  laptop.insert(makeEntries('laptop', 10_000));
  const child = spawn(process.execPath, ['services/peer/main.ts', ...args], { env: laptop.env });
  onCleanup(() => void child.kill('SIGKILL'));
  const directory = dirname(laptop.databasePath);
  const temporary = (): boolean => readdirSync(directory).some((name) => name.endsWith('.tmp'));
  return { child, temporary, exited: once(child, 'exit', { signal: deadlineSignal() }) };
}

describe('a signal ends', () => {
  test('a restore whose input neither continues nor ends', async () => {
    const { child, temporary, exited } = await startPiped('restore', '-');
    await until(temporary, 'the input is read');
    child.kill('SIGTERM');
    expect(await exited).toEqual([143, null]);
    expect(temporary()).toBe(false);
  });

  test('a backup whose output is not read', async () => {
    const { child, temporary, exited } = await startPiped('backup', '-');
    await once(child.stdout, 'readable', { signal: deadlineSignal() });
    child.kill('SIGTERM');
    expect(await exited).toEqual([143, null]);
    expect(temporary()).toBe(false);
  });
});

describe('the bundle', () => {
  test('is one file that works without installed packages', async () => {
    const directory = makeTestDirectory();
    const program = join(directory, 'rustory-peer.mjs');
    copyFileSync(currentBundle('peer'), program);
    const network = await startNetwork();
    const start = (name: string, ...args: string[]): Running => {
      mkdirSync(join(directory, name), { recursive: true });
      const { env } = network.device(name, { LOG_LEVEL: 'info' });
      const running = startProgram(name, program, { args, env, cwd: join(directory, name) });
      onCleanup(async () => running.stop());
      return running;
    };
    const recorded = await finished(start('server', 'record', '--cmd', 'make', '--cwd', '/src'));
    expect(recorded).toMatchObject({ code: 0, stderr: '' });
    await start('server', 'serve').waitFor('registered', ({ addrs }) =>
      JSON.stringify(addrs).includes('circuit'),
    );
    const synced = await finished(start('laptop', 'sync'));
    expect(synced.code).toBe(0);
    expect(synced.stderr).not.toContain('Warning');
    const { stdout } = await finished(start('laptop', 'entries', '--json'));
    expect(JSON.parse(stdout)).toMatchObject({ cmd: 'make', cwd: '/src', device_id: 'server' });
  });
});
