import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { startTracker } from '../../scripts/local-network.ts';
import { until } from '../../testing/wait.ts';
import { cleanUp, type Device, type Grid, makeEntries, onCleanup, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

const idsOf = (device: Device): string =>
  device
    .entries()
    .map(({ entry_id }) => entry_id)
    .join();

async function importWhileRunning(grid: Grid, device: Device, lines: number): Promise<void> {
  const path = join(grid.directory, 'bash_history');
  writeFileSync(path, Array.from({ length: lines }, (_, line) => `imported ${line}\n`).join(''));
  const { code } = await device.run('import', path);
  expect(code).toBe(0);
}

/** A tracker that is far away: every call is passed on, and its answer kept back for a while. */
async function startSlowProxy(url: string, delayMs: number): Promise<string> {
  const server = createServer((request, response) => {
    const pass = async (): Promise<void> => {
      const { method = 'GET', headers } = request;
      const body = method === 'POST' ? { body: await text(request) } : {};
      const type = { 'Content-Type': headers['content-type'] ?? '' };
      const answer = await fetch(`${url}${request.url ?? ''}`, { method, headers: type, ...body });
      const content = await answer.text();
      setTimeout(() => response.writeHead(answer.status).end(content), delayMs);
    };
    pass().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startServing(grid: Grid): Promise<Device> {
  const server = grid.device('server');
  server.insert(makeEntries('server', 100));
  await server.serve();
  return server;
}

describe('three devices that serve and sync', () => {
  test('all end with the union of their histories, also of what one imports meanwhile', async () => {
    const grid = await startGrid();
    const devices = ['laptop', 'desktop', 'server'].map((name) => grid.device(name));
    const [laptop] = devices as [Device, ...Device[]];
    for (const device of devices) device.insert(makeEntries(device.name, 5_000));
    const daemons = devices.map((device) => device.start('daemon', '--interval-sec', '1', '--json'));
    for (const daemon of daemons) await daemon.waitFor('registered');
    await importWhileRunning(grid, laptop, 2_000);
    await until(
      () => devices.every((device) => device.entries().length === 17_000),
      'all have everything',
      60_000,
    );
    expect(new Set(devices.map(idsOf)).size).toBe(1);
    for (const daemon of daemons) {
      const code = await daemon.stop();
      expect({ code, log: code === 0 ? '' : daemon.stderr().slice(-2_000) }).toEqual({ code: 0, log: '' });
    }
  }, 120_000);
});

describe('a device whose tracker', () => {
  test('is down syncs with the peers it knows', async () => {
    const grid = await startGrid();
    const server = await startServing(grid);
    const laptop = grid.device('laptop');
    expect((await laptop.run('sync')).code).toBe(0);
    await grid.tracker.stop();
    server.insert(makeEntries('server', 50, 100));
    const { code, stdout, stderr } = await laptop.run('sync', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ entries: 50, duplicates: 0 });
    expect(stderr).toContain('warning: tracker');
  }, 60_000);

  test('was just started and knows nobody syncs with the peers it knows', async () => {
    const grid = await startGrid();
    const server = await startServing(grid);
    expect((await grid.device('laptop').run('sync')).code).toBe(0);
    const empty = await startTracker();
    onCleanup(async () => empty.stop());
    server.insert(makeEntries('server', 50, 100));
    const laptop = grid.device('laptop', { RUSTORY_TRACKERS: empty.url });
    const { code, stdout, stderr } = await laptop.run('sync', '--json');
    expect(code).toBe(0);
    expect(stderr).not.toContain('warning');
    expect(JSON.parse(stdout)).toMatchObject({ entries: 50, duplicates: 0 });
  }, 60_000);

  test('takes a second for each answer registers, and syncs all the same', async () => {
    const grid = await startGrid();
    const slow = { RUSTORY_TRACKERS: await startSlowProxy(grid.tracker.url, 1_000) };
    const [server, laptop] = [grid.device('server', slow), grid.device('laptop', slow)];
    server.insert(makeEntries('server', 100));
    await server.serve();
    const { code, stdout, stderr } = await laptop.run('sync', '--json');
    expect(code).toBe(0);
    expect(stderr).not.toContain('warning');
    expect(JSON.parse(stdout)).toMatchObject({ entries: 100 });
  }, 60_000);

  test('never answered finds nobody, says so and what to do, and ends with 3', async () => {
    const grid = await startGrid();
    await grid.tracker.stop();
    const { code, stderr } = await grid.device('laptop').run('sync');
    expect(code).toBe(3);
    expect(stderr).toContain('no tracker answered');
    expect(stderr).toContain('rustory-peer doctor');
  }, 60_000);
});
