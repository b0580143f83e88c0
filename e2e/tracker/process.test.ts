import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { runTracker, startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';

async function start(environment?: Record<string, string>): Promise<TrackerProcess> {
  const tracker = await startTracker(environment);
  onCleanup(() => tracker.end('SIGKILL'));
  return tracker;
}

async function register(url: string): Promise<Response> {
  return fetch(`${url}/api/v1/peers/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ peer_id: PEER, addrs: ['/ip4/192.168.1.20/tcp/4001'], meta: null }),
  });
}

afterEach(cleanUp);

describe('a tracker process', () => {
  test('registers and lists a device, is live and ready, and counts', async () => {
    const { url, opsUrl } = await start({ TRACKER_TTL_SECONDS: '45' });
    expect(await (await register(url)).json()).toEqual({ ok: true, ttl_sec: 45 });
    expect(await (await fetch(`${url}/api/v1/peers`)).json()).toMatchObject({
      peers: [{ peer_id: PEER, meta: null }],
    });
    expect((await fetch(`${opsUrl}/livez`)).status).toBe(200);
    expect((await fetch(`${opsUrl}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${opsUrl}/metrics`)).text()).toContain('rustory_tracker_live_peers 1');
  });

  test('sends a listing of thousands of devices with its length, complete and newest first', async () => {
    const { url } = await start();
    const ids = peerIds(1_500);
    for (const peer_id of ids) {
      const body = JSON.stringify({
        peer_id,
        addrs: ['/ip4/192.168.1.20/tcp/4001'],
        meta: { user_id: 'alice' },
      });
      const headers = { 'Content-Type': 'application/json' };
      await fetch(`${url}/api/v1/peers/register`, { method: 'POST', headers, body });
    }
    const response = await fetch(`${url}/api/v1/peers?user_id=alice`);
    const text = await response.text();
    expect(response.headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
    const { peers } = JSON.parse(text) as { peers: { peer_id: string }[] };
    expect(peers.map(({ peer_id }) => peer_id)).toEqual(ids.toReversed());
    expect((await fetch(`${url}/api/v1/peers`, { method: 'HEAD' })).status).toBe(200);
  });

  test('accepts a new token without a restart and without rejecting the old one', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'rustory-tokens-')), 'tokens');
    writeFileSync(path, 'first-token-of-the-network\n');
    const { url, output } = await start({ TRACKER_TOKENS_FILE: path });
    const status = async (token: string): Promise<number> =>
      (await fetch(`${url}/api/v1/ping`, { headers: { Authorization: `Bearer ${token}` } })).status;
    expect(await status('first-token-of-the-network')).toBe(200);
    expect(await status('second-token-of-the-network')).toBe(401);
    writeFileSync(path, 'first-token-of-the-network\nsecond-token-of-the-network\n');
    await until(async () => {
      expect(await status('first-token-of-the-network')).toBe(200);
      return (await status('second-token-of-the-network')) === 200;
    }, 'the second token is valid');
    rmSync(dirname(path), { recursive: true });
    expect(output()).not.toContain('token-of-the-network');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('stops with exit code 0 on %s', async (signal) => {
    const tracker = await start();
    await register(tracker.url);
    expect(await tracker.end(signal)).toBe(0);
    expect(tracker.output()).toContain('"msg":"stopped"');
  });

  test('is unready while it drains, responds to requests, and closes the connections of clients', async () => {
    const tracker = await start();
    expect((await register(tracker.url)).headers.get('connection')).not.toBe('close');
    tracker.kill('SIGTERM');
    await until(() => tracker.output().includes('"msg":"stopping"'), 'it stops');
    expect((await fetch(`${tracker.opsUrl}/readyz`)).status).toBe(503);
    expect((await register(tracker.url)).headers.get('connection')).toBe('close');
    expect(await tracker.exited).toBe(0);
  });

  test('reports every problem of its configuration and exits with 78', async () => {
    const { exitCode, output } = await runTracker({ TRACKER_TTL_SECONDS: 'x', TRACKER_LISTEN: 'nowhere' });
    expect(exitCode).toBe(78);
    expect(output).toContain('TRACKER_TTL_SECONDS: "x" is not');
    expect(output).toContain('TRACKER_LISTEN: "nowhere" is not');
  });

  test('does not start on all interfaces without tokens or TRACKER_ALLOW_UNAUTHENTICATED', async () => {
    const { exitCode, output } = await runTracker({});
    expect(exitCode).toBe(78);
    expect(output).toContain('TRACKER_ALLOW_UNAUTHENTICATED=true');
  });

  test('reports a missing tokens file and a port that is in use', async () => {
    const missing = await runTracker({ TRACKER_TOKENS_FILE: '/nowhere' });
    expect(missing).toMatchObject({ exitCode: 78, output: expect.stringContaining('/nowhere') });
    const { url } = await start();
    const taken = await runTracker({ TRACKER_LISTEN: new URL(url).host, TRACKER_OPS_LISTEN: '127.0.0.1:0' });
    expect(taken).toMatchObject({ exitCode: 1, output: expect.stringContaining('EADDRINUSE') });
  });

  test('prints its variables and its version', async () => {
    const { exitCode, output } = await runTracker({}, ['--help']);
    expect(exitCode).toBe(0);
    expect(output).toContain('TRACKER_TTL_SECONDS=60');
    expect(await runTracker({}, ['--version'])).toMatchObject({
      exitCode: 0,
      output: expect.stringMatching(/^rustory-tracker \d/),
    });
  });
});
