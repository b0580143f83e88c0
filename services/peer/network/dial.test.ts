import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { createLibp2p } from 'libp2p';
import { aborted } from '../../shared/signals.ts';
import { generateSwarmKey } from '../../private-network/key.ts';
import { type DialStrategy, peerIdOf } from './addresses.ts';
import { createDialer, type Dialer, DialFailedError } from './dial.ts';
import type { DialAttempt } from './dial-report.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createStockStack } from '../../../testing/stock-stack.ts';
import { until } from '../../../testing/wait.ts';
import {
  createTestDialer,
  startDevice,
  startServingDevice,
  startTestRelay,
  type TestDevice,
  testSwarmKey,
} from '../../../testing/peer.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const DEAD_RELAY = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

function createDialerOf({ node }: TestDevice, relays: readonly string[], strategy?: DialStrategy) {
  const clock = { ms: 0 };
  return { dialer: createTestDialer(node, relays, strategy, () => clock.ms), clock };
}

const sleep = async (_: number, signal: AbortSignal): Promise<void> => aborted(signal);

/** A dialer whose pauses do not end, so that the second kind of addresses is tried only after the first has failed. */
function createPatientDialer(
  { node }: TestDevice,
  relays: readonly string[],
  strategy: DialStrategy,
): Dialer {
  return createDialer({ node, relays, strategy, nowMs: () => 0, random: () => 0.5, sleep });
}

function targetOf({ node, peerId }: TestDevice) {
  return { peerId, addresses: node.libp2p.getMultiaddrs().map(String) };
}

async function attemptsOf(promise: Promise<unknown>): Promise<readonly DialAttempt[]> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DialFailedError) return error.attempts;
  throw new Error('The dial did not fail as expected.', { cause: error });
}

describe('a dialer', () => {
  test('opens a new connection, although it or the other side has opened one', async () => {
    const [client, server] = [await startDevice(LOOPBACK), await startDevice(LOOPBACK)];
    await server.node.libp2p.dial(client.node.libp2p.getMultiaddrs());
    const { dialer } = createDialerOf(client, []);
    await until(() => client.node.libp2p.getConnections().length === 1, 'the other side has connected');
    const ids = client.node.libp2p.getConnections().map(({ id }) => id);
    const first = await dialer.connect(targetOf(server), 5_000);
    const second = await dialer.connect(targetOf(server), 5_000);
    expect(ids).not.toContain(first.connection.id);
    expect([first.connection.direction, second.connection.direction]).toEqual(['outbound', 'outbound']);
    expect(second.connection.id).not.toBe(first.connection.id);
    expect(ids).toHaveLength(1);
  });

  test('uses a circuit with relay-first and a direct connection with direct-first', async () => {
    const relay = await startTestRelay();
    const [client, server] = [
      await startDevice(),
      await startServingDevice([relay.address], { listen: LOOPBACK }),
    ];
    const { peerId } = server;
    const direct = server.node.libp2p.getMultiaddrs().map(String);
    const target = { peerId, addresses: [...server.reservations.addresses(), ...direct] };
    const addressWith = async (strategy: DialStrategy): Promise<string> =>
      (await createPatientDialer(client, [relay.address], strategy).connect(target, 60_000)).address;
    expect(await addressWith('relay-first')).toBe(`${relay.address}/p2p-circuit/p2p/${peerId}`);
    expect(direct).toContain(await addressWith('direct-first'));
  });

  test('uses a direct address while a relay does not answer, and the other way round', async () => {
    const relay = await startTestRelay();
    const [client, server] = [
      await startDevice(),
      await startServingDevice([relay.address], { listen: LOOPBACK }),
    ];
    const { peerId } = server;
    const silent = await startSocket(() => {});
    const silentRelay = `${silent}/p2p/${peerIdOf(DEAD_RELAY)}`;
    const direct = server.node.libp2p.getMultiaddrs().map(String);
    const throughSilent = createDialerOf(client, [silentRelay]).dialer;
    const target = { peerId, addresses: [`${silentRelay}/p2p-circuit`, ...direct] };
    expect(direct).toContain((await throughSilent.connect(target, 60_000)).address);
    const directFirst = createDialerOf(client, [relay.address], 'direct-first').dialer;
    const circuits = { peerId, addresses: [silent, ...server.reservations.addresses()] };
    expect((await directFirst.connect(circuits, 60_000)).address).toContain('/p2p-circuit');
  });

  test('closes the connection of the slower address', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    let open = 0;
    const silent = await startSocket((socket) => {
      open += 1;
      socket.resume().on('close', () => (open -= 1));
    });
    const { dialer } = createDialerOf(client, [`${silent}/p2p/${peerIdOf(DEAD_RELAY)}`]);
    const target = targetOf(server);
    await dialer.connect({ ...target, addresses: [silent, ...target.addresses] }, 60_000);
    await until(() => open === 0, 'the other connections are closed');
    expect(client.node.libp2p.getConnections().map(({ remotePeer }) => remotePeer.toString())).toEqual([
      server.peerId,
    ]);
  });

  test('asks a relay once for a peer without a reservation, whatever addresses the relay has', async () => {
    const relay = await startTestRelay();
    const client = await startDevice();
    const { peerId } = await startDevice();
    const other = relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/');
    const { dialer } = createDialerOf(client, [relay.address, other]);
    const listed = [`${other}/p2p-circuit/p2p/${peerId}`, `${relay.address}/p2p-circuit`];
    expect(await attemptsOf(dialer.connect({ peerId, addresses: listed }, 60_000))).toHaveLength(1);
  });

  test('has no address of a listed peer without a circuit, and no direct one with relay-only', async () => {
    const { dialer } = createDialerOf(await startDevice(), [DEAD_RELAY], 'relay-only');
    const server = targetOf(await startDevice(LOOPBACK));
    expect(dialer.canDial(server)).toBe(true);
    expect(dialer.canDial({ ...server, isListed: true })).toBe(false);
    expect(dialer.canDial({ ...server, addresses: [`${DEAD_RELAY}/p2p-circuit`], isListed: true })).toBe(
      true,
    );
  });

  test('repeats an attempt whose connection was reset', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const [address = ''] = targetOf(server).addresses;
    let connections = 0;
    const resetting = await startSocket((socket) => {
      connections += 1;
      if (connections === 1) {
        socket.resetAndDestroy();
        return;
      }
      const upstream = connect(Number(address.split('/')[4]), '127.0.0.1');
      onCleanup(() => void upstream.destroy());
      upstream.on('error', () => {});
      socket.pipe(upstream).pipe(socket);
    });
    const { dialer } = createDialerOf(client, []);
    const dialed = await dialer.connect({ peerId: server.peerId, addresses: [resetting] }, 60_000);
    expect(dialed.failed).toHaveLength(1);
  });

  test('names the setting to change when there is no address', async () => {
    const { dialer } = createDialerOf(await startDevice(), []);
    const { peerId } = await startDevice();
    await expect(dialer.connect({ peerId, addresses: [] }, 5_000)).rejects.toThrow('set relay_addr');
  });

  test('tries a relay that failed last, until its backoff has ended', async () => {
    const client = await startDevice();
    const { peerId } = await startDevice();
    const relay = await startTestRelay();
    const { dialer, clock } = createDialerOf(client, [DEAD_RELAY, relay.address]);
    const dial = async () => attemptsOf(dialer.connect({ peerId, addresses: [] }, 5_000));
    const stages = async () => (await dial()).map(({ stage }) => stage);
    expect(await stages()).toEqual(['tcp', 'reservation']);
    expect(await stages()).toEqual(['reservation', 'tcp']);
    clock.ms += 60_000;
    expect(await stages()).toEqual(['tcp', 'reservation']);
  });

  test('uses no direct address with relay-only', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const { dialer } = createDialerOf(client, [DEAD_RELAY], 'relay-only');
    expect(await attemptsOf(dialer.connect(targetOf(server), 5_000))).toHaveLength(1);
  });

  test('reports the attempts that failed before one succeeded', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const { dialer } = createDialerOf(client, [DEAD_RELAY], 'direct-first');
    const { peerId, addresses } = targetOf(server);
    const dialed = await dialer.connect({ peerId, addresses: ['/ip4/127.0.0.1/tcp/9', ...addresses] }, 5_000);
    expect(dialed.address).toBe(addresses[0]);
    expect(dialed.failed).toMatchObject([{ address: `/ip4/127.0.0.1/tcp/9/p2p/${peerId}`, stage: 'tcp' }]);
  });

  test('stops when the signal aborts', async () => {
    const client = await startDevice();
    const { peerId } = await startDevice();
    const { dialer } = createDialerOf(client, [DEAD_RELAY]);
    const signal = AbortSignal.abort(new Error('The dial is canceled.'));
    await expect(dialer.connect({ peerId, addresses: [] }, 5_000, signal)).rejects.toThrow('canceled');
  });
});

/** A TCP server with this handler for connections. */
async function startSocket(onConnection: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onCleanup(() => void socket.destroy());
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => void server.close());
  return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
}

/** A node of the private network without a muxer. */
async function startWithoutMuxers(): Promise<string> {
  const identity = await generateKeyPair('Ed25519');
  const node = await createLibp2p({
    ...createStockStack({ identity, key: testSwarmKey, muxers: [] }),
    addresses: { listen: LOOPBACK },
  });
  onCleanup(async () => node.stop());
  return node.getMultiaddrs().map(String)[0] ?? '';
}

/** The first failed attempt to connect, as `stage: reason`. */
async function failureAt(address: string, relays: readonly string[] = []): Promise<string> {
  const client = await startDevice();
  const peerId = peerIdOf(address) ?? (await startDevice()).peerId;
  const { dialer } = createDialerOf(client, relays);
  const addresses = address === '' ? [] : [address];
  const [attempt] = await attemptsOf(dialer.connect({ peerId, addresses }, 1_000));
  return `${attempt?.stage}: ${attempt?.reason}`;
}

describe('a failed attempt reports its stage', () => {
  test('tcp: nothing listens at the address', async () => {
    expect(await failureAt('/ip4/127.0.0.1/tcp/9')).toMatch(/^tcp: .*ECONNREFUSED/);
  });

  test('swarm key: the other side uses another protocol, or sends nothing', async () => {
    const web = await startSocket(
      (socket) => void socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    );
    expect(await failureAt(web)).toMatch(/^swarm key: /);
    expect(await failureAt(await startSocket(() => {}))).toMatch(/^swarm key: no response within 1000 ms/);
  });

  test('swarm key: the other side has a different one', async () => {
    const { address } = await startTestRelay({ swarmKey: generateSwarmKey() });
    // Either side may detect it first.
    expect(await failureAt(address)).toMatch(
      /^swarm key: the other side (has a different|closed .*) swarm key/,
    );
  });

  test('noise: another device has the address', async () => {
    const [other, expected] = [await startDevice(LOOPBACK), await startDevice()];
    const address =
      other.node.libp2p.getMultiaddrs().map(String)[0]?.replace(other.peerId, expected.peerId) ?? '';
    expect(await failureAt(address)).toMatch(/^noise: /);
  });

  test('muxer: the other side supports no muxer of this device', async () => {
    expect(await failureAt(await startWithoutMuxers())).toMatch(/^muxer: /);
  });

  test('reservation: the peer holds no reservation on the relay', async () => {
    const { address } = await startTestRelay();
    expect(await failureAt('', [address])).toMatch(/^reservation: the peer holds no reservation/);
  });

  test('circuit: the relay does not support the hop protocol', async () => {
    const { address } = await startTestRelay({ hasHop: false });
    expect(await failureAt('', [address])).toMatch(/^circuit: .*hop/);
  });
});
