import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import { createHeartbeat } from './heartbeat.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog } from '../../../testing/peer.ts';
import { createTrackerClient, type TrackerClient } from './tracker-client.ts';

afterEach(cleanUp);

interface TestTracker {
  readonly client: TrackerClient;
  /** The requests it received: `register` with the addresses, or `unregister`. */
  readonly requests: string[];
  status: number;
}

async function startTracker(): Promise<TestTracker> {
  const requests: string[] = [];
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { addrs } = JSON.parse(await text(request)) as { addrs?: string[] };
    requests.push(`${request.url?.split('/').at(-1)} ${addrs?.join(' ') ?? ''}`.trim());
    response.writeHead(tracker.status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ ok: true, ttl_sec: 60, removed: true }));
  }
  const server = createServer((request, response) => void respond(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = createTrackerClient({ url: `http://127.0.0.1:${port}`, token: undefined });
  const tracker: TestTracker = { client, requests, status: 200 };
  return tracker;
}

function startHeartbeat(trackers: readonly TestTracker[], intervalMs = 60_000) {
  const state = { addresses: [] as string[] };
  const { log, lines } = createTestLog();
  const heartbeat = createHeartbeat({
    trackers: trackers.map(({ client }) => client),
    peerId: 'me',
    meta: { user_id: 'ada' },
    addresses: () => state.addresses,
    log,
    random: () => 0,
    intervalMs,
  });
  heartbeat.start();
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) await heartbeat.stop();
    isStopped = true;
  };
  onCleanup(stop);
  const change = (...addresses: string[]): void => {
    state.addresses = addresses;
    heartbeat.changed();
  };
  return { change, stop, lines };
}

describe('a heartbeat', () => {
  test('registers the device with every tracker, and unregisters it at the stop', async () => {
    const trackers = [await startTracker(), await startTracker()];
    const { change, stop, lines } = startHeartbeat(trackers);
    change('/one');
    for (const { requests } of trackers) await until(() => requests.length === 1, 'it is registered');
    await until(() => lines.some(({ message }) => message === 'registered'), 'it is logged');
    await stop();
    for (const { requests } of trackers) expect(requests).toEqual(['register /one', 'unregister']);
    const urls = trackers.map(({ client }) => client.url);
    expect(lines).toContainEqual({ trackers: urls, addrs: ['/one'], message: 'registered' });
  });

  test('registers the current addresses, and unregisters when there are none', async () => {
    const tracker = await startTracker();
    const { change } = startHeartbeat([tracker]);
    change('/one', '/two');
    await until(() => tracker.requests.length === 1, 'it is registered');
    change('/two');
    await until(() => tracker.requests.length === 2, 'it is registered again');
    change();
    await until(() => tracker.requests.length === 3, 'it is unregistered');
    expect(tracker.requests).toEqual(['register /one /two', 'register /two', 'unregister']);
  });

  test('registers again at each interval', async () => {
    const tracker = await startTracker();
    const { change } = startHeartbeat([tracker], 20);
    change('/one');
    await until(() => tracker.requests.length >= 4, 'it registered four times');
    expect(new Set(tracker.requests)).toEqual(new Set(['register /one']));
  });

  test('registers again after a tracker failed', async () => {
    const tracker = await startTracker();
    tracker.status = 503;
    const { change, lines } = startHeartbeat([tracker], 20);
    change('/one');
    await until(() => tracker.requests.length >= 3, 'it tried again');
    tracker.status = 200;
    await until(() => lines.some(({ message }) => message === 'registered'), 'it is registered');
    expect(lines.filter(({ message }) => message === 'registration failed').length).toBeGreaterThan(0);
  });

  test('does not unregister a device that was never registered', async () => {
    const tracker = await startTracker();
    const { stop } = startHeartbeat([tracker]);
    await stop();
    expect(tracker.requests).toEqual([]);
  });

  test('registers the latest addresses when they change quickly', async () => {
    const tracker = await startTracker();
    const { change } = startHeartbeat([tracker]);
    for (let port = 0; port < 50; port += 1) change(`/tcp/${port}`);
    await until(() => tracker.requests.at(-1) === 'register /tcp/49', 'the latest address is registered');
    expect(tracker.requests.length).toBeLessThan(5);
  });
});
