import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateSwarmKey } from '../../private-network/key.ts';
import type { Target } from '../network/dial.ts';
import type { Entry } from '../history/entry.ts';
import { pull, type PullReport } from './pull.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import {
  createTestPullDeps,
  makeEntries,
  readEntries,
  startDevice,
  startServingDevice,
  startTestRelay,
  type TestDevice,
} from '../../../testing/peer.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];

async function pullFrom(
  client: TestDevice,
  target: Target,
  relay?: string,
  limit = 1000,
): Promise<PullReport> {
  return pull(target, createTestPullDeps(client, relay === undefined ? [] : [relay]), { limit });
}

/** Entries that barely compress, so that their history is too large for several small circuits. */
function makeRandomEntries(count: number): Entry[] {
  return makeEntries(count).map((entry) =>
    Object.assign(entry, { cmd: randomBytes(300).toString('base64') }),
  );
}

describe('a pull through a relay', () => {
  test('gets all entries, and the next pull only new ones', async () => {
    const relay = await startTestRelay();
    const server = await startServingDevice([relay.address]);
    const client = await startDevice();
    server.store.insert(makeEntries(2_500));
    const target = { peerId: server.peerId, addresses: server.reservations.addresses() };
    const first = await pullFrom(client, target, relay.address);
    expect(first).toMatchObject({
      entries: 2_500,
      duplicates: 0,
      nextCursor: 2_500,
      error: undefined,
      attempts: [],
    });
    expect(first.address).toContain(`${relay.address}/p2p-circuit/p2p/${server.peerId}`);
    expect(readEntries(client.store)).toEqual(readEntries(server.store));
    server.store.insert(makeEntries(1, 'desktop'));
    expect(await pullFrom(client, target)).toMatchObject({ entries: 1, nextCursor: 2_501 });
    expect(
      server.lines.filter(({ message, entries }) => message === 'pull served' && entries !== 0),
    ).toHaveLength(4);
  });

  test('continues over another circuit when one has reached its data limit', async () => {
    const relay = await startTestRelay({ circuitBytes: 256 * 1024 });
    const server = await startServingDevice([relay.address]);
    const client = await startDevice();
    const entries = makeRandomEntries(4_000);
    server.store.insert(entries);
    const report = await pullFrom(client, { peerId: server.peerId, addresses: [] }, relay.address, 200);
    expect(report).toMatchObject({ entries: 4_000, duplicates: 0, error: undefined });
    expect(report.bytes).toBeGreaterThan(4 * 256 * 1024);
    expect(readEntries(client.store)).toEqual(entries);
  });

  test('halves its limit until a response fits into one circuit', async () => {
    const relay = await startTestRelay({ circuitBytes: 128 * 1024 });
    const server = await startServingDevice([relay.address]);
    const client = await startDevice();
    const entries = makeRandomEntries(1_000);
    server.store.insert(entries);
    const deps = createTestPullDeps(client, [relay.address]);
    const report = await pull(
      { peerId: server.peerId, addresses: [] },
      { ...deps, retry: { ...deps.retry, attempts: 8 } },
      { limit: 1000 },
    );
    expect(report).toMatchObject({ entries: 1_000, duplicates: 0, error: undefined });
  });

  test('reports the stage and the reason of the failure for each address', async () => {
    const relay = await startTestRelay();
    const client = await startDevice();
    const other = await startDevice();
    const addresses = [
      '/ip4/127.0.0.1/tcp/9',
      `${relay.address}/p2p-circuit/p2p/${other.peerId}`,
      'nonsense',
    ];
    const report = await pullFrom(client, { peerId: other.peerId, addresses }, relay.address);
    expect(report.error).toContain('No address led to the peer (2 tried)');
    expect(report.attempts.slice(0, 2)).toEqual([
      {
        address: `${relay.address}/p2p-circuit/p2p/${other.peerId}`,
        stage: 'reservation',
        reason: expect.stringContaining('holds no reservation'),
      },
      {
        address: `/ip4/127.0.0.1/tcp/9/p2p/${other.peerId}`,
        stage: 'tcp',
        reason: expect.stringContaining('ECONNREFUSED'),
      },
    ]);
  });

  test('reports a different swarm key', async () => {
    const relay = await startTestRelay({ swarmKey: generateSwarmKey() });
    const client = await startDevice();
    const other = await startDevice();
    const report = await pullFrom(client, { peerId: other.peerId, addresses: [] }, relay.address);
    expect(report.attempts[0]).toMatchObject({
      stage: 'swarm key',
      reason: expect.stringContaining('swarm key'),
    });
  });

  test('uses a direct address when there is no relay', async () => {
    const server = await startServingDevice([], { listen: LOOPBACK });
    const client = await startDevice();
    server.store.insert(makeEntries(10));
    const addresses = server.node.libp2p.getMultiaddrs().map(String);
    const report = await pullFrom(client, { peerId: server.peerId, addresses });
    expect(report).toMatchObject({ entries: 10, address: addresses[0] });
  });

  test('reports that a peer does not support the protocol', async () => {
    const client = await startDevice();
    const other = await startDevice(LOOPBACK);
    const addresses = other.node.libp2p.getMultiaddrs().map(String);
    const report = await pullFrom(client, { peerId: other.peerId, addresses });
    expect(report.attempts).toEqual([
      { address: addresses[0], stage: 'protocol', reason: expect.stringContaining('sync-pull') },
    ]);
  });
});
