import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../services/shared/testing.ts';
import { cleanUp, type Device, type Grid, makeEntries, startGrid } from './grid.testing.ts';

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

async function startServing(grid: Grid): Promise<Device> {
  const server = grid.device('server');
  server.insert(makeEntries('server', 100));
  await server
    .start('serve')
    .waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
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
    for (const daemon of daemons) expect(await daemon.stop()).toBe(0);
  }, 120_000);
});

describe('a device whose tracker', () => {
  test('is down syncs with the peers it knows', async () => {
    const grid = await startGrid();
    const server = await startServing(grid);
    const laptop = grid.device('laptop');
    expect((await laptop.run('sync')).code).toBe(0);
    await grid.tracker.process.stop();
    server.insert(makeEntries('server', 50, 100));
    const { code, stdout, stderr } = await laptop.run('sync', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ entries: 50, duplicates: 0 });
    expect(stderr).toContain('warning: tracker');
  }, 60_000);

  test('never answered finds nobody, says so and what to do, and ends with 3', async () => {
    const grid = await startGrid();
    await grid.tracker.process.stop();
    const { code, stderr } = await grid.device('laptop').run('sync');
    expect(code).toBe(3);
    expect(stderr).toContain('no tracker answered');
    expect(stderr).toContain('rustory-peer doctor');
  }, 60_000);
});
