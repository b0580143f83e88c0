// Tracker and relay with the addresses of the charts on a kernel without IPv6. The preload makes Node.js get the error that
// such a kernel gives; a machine that only disables the addresses of IPv6 still has `::`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { finished, startService } from '../../scripts/processes.ts';

afterEach(cleanUp);

/** EAFNOSUPPORT of Linux. */
const NO_IPV6 = `data:text/javascript,process.binding('tcp_wrap').TCP.prototype.bind6=()=>-97`;
const NODE_OPTIONS = `--no-deprecation --import="${NO_IPV6}"`;

function relayEnvironment(listen: string): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-relay-'));
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  createSwarmKeyFile(join(folder, 'swarm.key'));
  return {
    NODE_OPTIONS,
    RELAY_LISTEN: listen,
    RELAY_OPS_LISTEN: '[::]:0',
    RELAY_ANNOUNCE: '/dns/relay.example.org/tcp/4001',
    RELAY_SWARM_KEY_FILE: join(folder, 'swarm.key'),
    RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
  };
}

test('the tracker listens on all addresses of IPv4', async () => {
  const env = {
    NODE_OPTIONS,
    TRACKER_ALLOW_UNAUTHENTICATED: 'true',
    TRACKER_LISTEN: '[::]:0',
    TRACKER_OPS_LISTEN: '[::]:0',
  };
  const tracker = startService('tracker', { env });
  onCleanup(async () => void (await tracker.stop()));
  const lines = await Promise.all([tracker.waitFor('listening'), tracker.waitFor('ops listening')]);
  expect(lines.map(({ address }) => address)).toEqual(
    Array(2).fill(expect.stringMatching(/^0\.0\.0\.0:\d+$/)),
  );
});

test('the relay serves IPv4 alone, and says so', async () => {
  const relay = startService('relay', { env: relayEnvironment('/ip4/0.0.0.0/tcp/0,/ip6/::/tcp/0') });
  onCleanup(async () => void (await relay.stop()));
  expect(await relay.waitFor('not listening: this machine has no IPv6')).toMatchObject({
    addresses: ['/ip6/::/tcp/0'],
  });
  const { address } = await relay.waitFor('ops listening');
  expect(address).toMatch(/^0\.0\.0\.0:/);
  await relay.waitFor('started');
});

test('a relay that should listen on IPv6 only ends with the reason', async () => {
  const { code, stdout, stderr } = await finished(
    startService('relay', { env: relayEnvironment('/ip6/::/tcp/0') }),
  );
  expect([code, stdout + stderr]).toEqual([
    expect.any(Number),
    expect.stringContaining('this machine has no IPv6'),
  ]);
  expect(code).not.toBe(0);
});
