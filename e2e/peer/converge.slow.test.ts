import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { startTracker } from '../../scripts/local-network.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;
const WAIT_MS = 180_000;

const idsOf = (device: Device): string =>
  device
    .entries()
    .map(({ entry_id }) => entry_id)
    .join();

async function importWhileRunning(network: TestNetwork, device: Device, lines: number): Promise<void> {
  const path = join(network.directory, 'bash_history');
  writeFileSync(path, Array.from({ length: lines }, (_, line) => `imported ${line}\n`).join(''));
  const { code } = await device.run('import', path);
  expect(code).toBe(0);
}

/** A proxy that delays every response of a tracker. */
async function startSlowProxy(url: string, delayMs: number): Promise<string> {
  const server = createServer((request, response) => {
    const pass = async (): Promise<void> => {
      const { method = 'GET', headers } = request;
      const body = method === 'POST' ? { body: await text(request) } : {};
      const type = { 'Content-Type': headers['content-type'] ?? '' };
      const upstream = await fetch(`${url}${request.url ?? ''}`, { method, headers: type, ...body });
      const content = await upstream.text();
      setTimeout(() => response.writeHead(upstream.status).end(content), delayMs);
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

async function startServing(network: TestNetwork): Promise<Device> {
  const server = network.device('server');
  server.insert(makeEntries('server', 100));
  await server.serve();
  return server;
}

describe('three devices that serve and sync', () => {
  test(
    'all end with the union of their histories, including what one imports meanwhile',
    async () => {
      const network = await startNetwork();
      const devices = ['laptop', 'desktop', 'server'].map((name) => network.device(name));
      const [laptop] = devices as [Device, ...Device[]];
      for (const device of devices) device.insert(makeEntries(device.name, 5_000));
      const daemons = devices.map((device) => device.start('daemon', '--interval-sec', '1', '--json'));
      for (const daemon of daemons) await daemon.waitFor('registered');
      await importWhileRunning(network, laptop, 2_000);
      await until(
        () => devices.every((device) => device.entries().length === 17_000),
        'every device has all entries',
        WAIT_MS,
      );
      expect(new Set(devices.map(idsOf)).size).toBe(1);
      for (const daemon of daemons) {
        const code = await daemon.stop();
        expect({ code, log: code === 0 ? '' : daemon.stderr().slice(-2_000) }).toEqual({ code: 0, log: '' });
      }
    },
    TEST_TIMEOUT_MS,
  );
});

describe('a device whose tracker', () => {
  test(
    'is down syncs with the peers of its peer book',
    async () => {
      const network = await startNetwork();
      const server = await startServing(network);
      const laptop = network.device('laptop');
      expect((await laptop.run('sync')).code).toBe(0);
      await network.tracker.stop();
      server.insert(makeEntries('server', 50, 100));
      const { code, stdout, stderr } = await laptop.run('sync', '--json');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ entries: 50, duplicates: 0 });
      expect(stderr).toContain('warning: The tracker');
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'has just started and lists no peers syncs with the peers of its peer book',
    async () => {
      const network = await startNetwork();
      const server = await startServing(network);
      expect((await network.device('laptop').run('sync')).code).toBe(0);
      const empty = await startTracker();
      onCleanup(async () => empty.stop());
      server.insert(makeEntries('server', 50, 100));
      const laptop = network.device('laptop', { RUSTORY_TRACKERS: empty.url });
      const { code, stdout, stderr } = await laptop.run('sync', '--json');
      expect(code).toBe(0);
      expect(stderr).not.toContain('warning');
      expect(JSON.parse(stdout)).toMatchObject({ entries: 50, duplicates: 0 });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'takes a second for each response registers and syncs',
    async () => {
      const network = await startNetwork();
      const slow = { RUSTORY_TRACKERS: await startSlowProxy(network.tracker.url, 1_000) };
      const [server, laptop] = [network.device('server', slow), network.device('laptop', slow)];
      server.insert(makeEntries('server', 100));
      await server.serve();
      const { code, stdout, stderr } = await laptop.run('sync', '--json');
      expect(code).toBe(0);
      expect(stderr).not.toContain('warning');
      expect(JSON.parse(stdout)).toMatchObject({ entries: 100 });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'does not respond and has no peer book gives advice and exits with 3',
    async () => {
      const network = await startNetwork();
      await network.tracker.stop();
      const { code, stderr } = await network.device('laptop').run('sync');
      expect(code).toBe(3);
      expect(stderr).toContain('no tracker responded');
      expect(stderr).toContain('rustory-peer doctor');
    },
    TEST_TIMEOUT_MS,
  );
});
