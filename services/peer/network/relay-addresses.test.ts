import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import {
  createTestDialer,
  SHORT_PROBE_TIMINGS,
  startDevice,
  startServingDevice,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
} from '../../../testing/peer.ts';
import { deadlineSignal, until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { abortDeadRelay, openRelay } from './relay-connection.ts';

afterEach(cleanUp);

const PING = '/ipfs/ping/1.0.0';

/** Frequent probes, whose deadline does not depend on the machine. */
const PROBE_TIMINGS = { ...SHORT_PROBE_TIMINGS, probeIntervalMs: 20, idleTimeoutMs: WAIT_TIMEOUT_MS };

/** A relay that answers pings a little late, so that several at the same time collide. */
async function startPingedRelay(options: TestRelayOptions): Promise<TestRelay & { pings(): number }> {
  const relay = await startTestRelay(options);
  let pings = 0;
  await relay.libp2p.unhandle(PING);
  await relay.libp2p.handle(PING, (stream) => {
    const answer = async (data: Uint8Array): Promise<void> => {
      await sleep(10);
      pings += 1;
      if (stream.status === 'open') stream.send(data);
    };
    stream.addEventListener('message', ({ data }) => void answer(data.subarray()));
    stream.addEventListener('remoteCloseWrite', () => void sleep(10).then(() => stream.close()));
  });
  return { ...relay, pings: () => pings };
}

const toName = (address: string, protocol: string): string =>
  address.replace(/^\/ip[46]\/[^/]+/, `/${protocol}/localhost`);

/** An address at which nothing answers, with the peer id of the relay. */
async function silentAddress({ libp2p }: TestRelay): Promise<string> {
  const server = createServer((socket) => void socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return `/ip4/127.0.0.1/tcp/${address.port}/p2p/${libp2p.peerId.toString()}`;
}

describe('several addresses of one relay', () => {
  const TWO = { listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'] };
  test.each<[string, TestRelayOptions, (relay: TestRelay) => string[]]>([
    ['IPv4 and IPv6', TWO, ({ addresses }) => [...addresses]],
    [
      'two of IPv4',
      { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0'] },
      ({ addresses }) => [...addresses],
    ],
    [
      'a name in three ways, one of which leads nowhere',
      TWO,
      ({ address }) => ['dns4', 'dns6', 'dns'].map((protocol) => toName(address, protocol)),
    ],
    [
      'three, with mplex',
      { ...TWO, isMplexOnly: true },
      ({ addresses, address }) => [...addresses, toName(address, 'dns4')],
    ],
    ['two spellings', TWO, ({ addresses: [, ip6 = ''] }) => [ip6, ip6.replace('::1', '0:0:0:0:0:0:0:1')]],
    ['one that refuses connections', TWO, ({ address }) => [address.replace(/tcp\/\d+/, 'tcp/9'), address]],
  ])('(%s) have one connection, one reservation and one probe', async (_, options, addressesOf) => {
    const relay = await startPingedRelay(options);
    const addresses = addressesOf(relay);
    const device = await startServingDevice(addresses, {
      probeTimings: PROBE_TIMINGS,
      wanted: 1,
    });
    const first = device.node.libp2p.getConnections();
    await until(() => relay.pings() >= 10, 'the relay is probed ten times');
    expect(device.lines.map(({ message }) => message)).toEqual(['reserved']);
    expect(device.node.libp2p.getConnections()).toEqual(first);
    expect(relay.libp2p.getConnections()).toHaveLength(1);
    const announced = device.reservations.addresses();
    expect(new Set(announced).size).toBe(announced.length);
    for (const address of addresses.slice(0, 1))
      expect(announced).toContain(`${address}/p2p-circuit/p2p/${device.peerId}`);
  });

  test('are tried one after the other while the first does not answer, by a reservation and by a dial', async () => {
    const relay = await startTestRelay();
    const addresses = [await silentAddress(relay), relay.address];
    const device = await startServingDevice(addresses, { wanted: 1 });
    const client = await startDevice();
    const dialer = createTestDialer(client.node, addresses, 'relay-only');
    const { connection } = await dialer.connect({ peerId: device.peerId, addresses: [] }, WAIT_TIMEOUT_MS);
    expect(connection.remotePeer.toString()).toBe(device.peerId);
  });

  test('are opened once for all who want the relay at the same time, and the last who waits cancels', async () => {
    const relay = await startTestRelay();
    const { node } = await startDevice();
    const options = { signal: deadlineSignal(), onProgress: () => {} };
    const canceled = new AbortController();
    const opened = [
      openRelay(node, [relay.address], { ...options, signal: canceled.signal }),
      openRelay(node, [relay.address], options),
      openRelay(node, [relay.address.replace(/tcp\/\d+/, 'tcp/9'), relay.address], options),
    ];
    canceled.abort(new Error('The caller stopped.'));
    await expect(opened[0]).rejects.toThrow('The caller stopped.');
    expect((await opened[1])?.id).toBe((await opened[2])?.id);
    await until(() => relay.libp2p.getConnections().length > 0, 'the relay has the connection');
    expect(relay.libp2p.getConnections()).toHaveLength(1);
  });

  test('share a ping: a probe of a dial that runs at the same time is not read as the death of the relay', async () => {
    const relay = await startPingedRelay(TWO);
    const device = await startServingDevice([...relay.addresses], { probeTimings: PROBE_TIMINGS, wanted: 1 });
    const [connection] = device.node.libp2p.getConnections();
    for (let count = 0; count < 20; count += 1)
      await Promise.all(relay.addresses.map(async (address) => abortDeadRelay(device.node.libp2p, address)));
    expect(connection?.status).toBe('open');
    expect(device.lines.map(({ message }) => message)).toEqual(['reserved']);
  });
});
