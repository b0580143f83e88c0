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

/** Entries that hardly compress, so that their history is larger than several small circuits together. */
function makeRandomEntries(count: number): Entry[] {
  return makeEntries(count).map((entry) =>
    Object.assign(entry, { cmd: randomBytes(300).toString('base64') }),
  );
}

describe('a pull through a relay', () => {
  test('brings everything, and the next one only what is new', async () => {
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

  test('goes on over the next circuit when one has carried all it may', async () => {
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

  test('halves what it asks for until an answer fits into a circuit', async () => {
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

  test('says for each address how far it got and why it failed', async () => {
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

  test('names the swarm key where that is the reason', async () => {
    const relay = await startTestRelay({ swarmKey: generateSwarmKey() });
    const client = await startDevice();
    const other = await startDevice();
    const report = await pullFrom(client, { peerId: other.peerId, addresses: [] }, relay.address);
    expect(report.attempts[0]).toMatchObject({
      stage: 'swarm key',
      reason: expect.stringContaining('swarm key'),
    });
  });

  test('goes to the direct address when no relay is there', async () => {
    const server = await startServingDevice([], { listen: LOOPBACK });
    const client = await startDevice();
    server.store.insert(makeEntries(10));
    const addresses = server.node.libp2p.getMultiaddrs().map(String);
    const report = await pullFrom(client, { peerId: server.peerId, addresses });
    expect(report).toMatchObject({ entries: 10, address: addresses[0] });
  });

  test('tells a peer that does not sync from one that is away', async () => {
    const client = await startDevice();
    const other = await startDevice(LOOPBACK);
    const addresses = other.node.libp2p.getMultiaddrs().map(String);
    const report = await pullFrom(client, { peerId: other.peerId, addresses });
    expect(report.attempts).toEqual([
      { address: addresses[0], stage: 'protocol', reason: expect.stringContaining('sync-pull') },
    ]);
  });
});
