import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { finished, type Running, startProgram } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import { cleanUp, makeEntries, onCleanup, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

const ROOT = join(import.meta.dirname, '../..');

describe('a sync', () => {
  test('that reached some peers and some not ends with 4', async () => {
    const grid = await startGrid();
    const [server, laptop] = [grid.device('server'), grid.device('laptop')];
    server.insert(makeEntries('server', 10));
    const peerId = String((await (await server.serve()).waitFor('node started'))['peerId']);
    const nobody = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
    const { code, stdout, stderr } = await laptop.run('sync', '--peers', `${nobody},${peerId}`);
    expect(code).toBe(4);
    expect(stdout).toMatch(/ok$/m);
    expect(stdout).toMatch(/failed$/m);
    expect(stderr).toMatch(/reservation: the peer\s+holds no reservation/);
  }, 60_000);

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'that is ended by %s ends with %i',
    async (signal, code) => {
      const grid = await startGrid();
      // A relay that takes the connection and never answers keeps it busy.
      const silent = createServer(() => {});
      await new Promise<void>((resolve) => {
        silent.listen(0, '127.0.0.1', resolve);
      });
      onCleanup(() => void silent.close());
      const address = silent.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      let connected = 0;
      silent.on('connection', (socket) => {
        connected += 1;
        socket.on('error', () => {});
        onCleanup(() => void socket.destroy());
      });
      const nobody = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
      const syncing = grid
        .device('laptop')
        .start('sync', '--peers', `/ip4/127.0.0.1/tcp/${port}/p2p/${nobody}`);
      await until(() => connected > 0, 'it is connecting');
      syncing.kill(signal);
      expect(await syncing.exited).toBe(code);
    },
    60_000,
  );
});

describe('the bundle', () => {
  test('is one file that does all of it with nothing installed beside it', async () => {
    execFileSync(process.execPath, ['scripts/build.ts'], { cwd: ROOT });
    const directory = mkdtempSync(join(tmpdir(), 'rustory-bundle-'));
    onCleanup(() => rmSync(directory, { recursive: true, force: true }));
    const program = join(directory, 'rustory-peer.mjs');
    copyFileSync(join(ROOT, 'dist/peer.js'), program);
    const grid = await startGrid();
    const start = (name: string, ...args: string[]): Running => {
      mkdirSync(join(directory, name), { recursive: true });
      const { env } = grid.device(name, { LOG_LEVEL: 'info' });
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
  }, 90_000);
});
