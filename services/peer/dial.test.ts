import { afterEach, describe, expect, test } from '@jest/globals';
import { createDialer, DialFailedError } from './dial.ts';
import type { DialAttempt } from './dial-report.ts';
import type { DialStrategy } from './settings.ts';
import { cleanUp, startDevice, startTestRelay, type TestDevice } from './testing.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const DEAD_RELAY = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

function createTestDialer(
  { node }: TestDevice,
  relays: readonly string[],
  strategy: DialStrategy = 'relay-first',
) {
  const time = { now: 0 };
  return { dialer: createDialer({ libp2p: node.libp2p, relays, strategy, clock: () => time.now }), time };
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
  throw new Error('it did not fail as expected', { cause: error });
}

describe('a device', () => {
  test('uses a connection that is open instead of making another', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const { dialer } = createTestDialer(client, []);
    const first = await dialer.connect(targetOf(server), 5_000);
    const second = await dialer.connect({ peerId: server.peerId, addresses: [] }, 5_000);
    expect(second.connection).toBe(first.connection);
    await first.connection.close();
    expect((await dialer.connect(targetOf(server), 5_000)).connection).not.toBe(first.connection);
  });

  test('with nowhere to go says what to set', async () => {
    const { dialer } = createTestDialer(await startDevice(), []);
    const { peerId } = await startDevice();
    await expect(dialer.connect({ peerId, addresses: [] }, 5_000)).rejects.toThrow('set relay_addr');
  });

  test('tries a relay that failed last, for a while', async () => {
    const client = await startDevice();
    const { peerId } = await startDevice();
    const relay = await startTestRelay();
    const { dialer, time } = createTestDialer(client, [DEAD_RELAY, relay.address]);
    const connect = async () => attemptsOf(dialer.connect({ peerId, addresses: [] }, 5_000));
    const stages = async () => (await connect()).map(({ stage }) => stage);
    expect(await stages()).toEqual(['tcp', 'reservation']);
    expect(await stages()).toEqual(['reservation', 'tcp']);
    time.now += 60_000;
    expect(await stages()).toEqual(['tcp', 'reservation']);
  });

  test('that may only use relays does not go direct', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const { dialer } = createTestDialer(client, [DEAD_RELAY], 'relay-only');
    expect(await attemptsOf(dialer.connect(targetOf(server), 5_000))).toHaveLength(1);
  });

  test('that goes direct first tells what failed before it got through', async () => {
    const [client, server] = [await startDevice(), await startDevice(LOOPBACK)];
    const { dialer } = createTestDialer(client, [DEAD_RELAY], 'direct-first');
    const { peerId, addresses } = targetOf(server);
    const dialed = await dialer.connect({ peerId, addresses: ['/ip4/127.0.0.1/tcp/9', ...addresses] }, 5_000);
    expect(dialed.address).toBe(addresses[0]);
    expect(dialed.failed).toMatchObject([{ address: `/ip4/127.0.0.1/tcp/9/p2p/${peerId}`, stage: 'tcp' }]);
  });

  test('stops trying when it is asked to', async () => {
    const client = await startDevice();
    const { peerId } = await startDevice();
    const { dialer } = createTestDialer(client, [DEAD_RELAY]);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(dialer.connect({ peerId, addresses: [] }, 5_000, signal)).rejects.toThrow('enough');
  });
});
