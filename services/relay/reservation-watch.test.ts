// Mistakes of devices that the relay reports: a clock that is ahead, and a copied identity key.
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { pino } from 'pino';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { startProxy } from '../../testing/proxy.ts';
import { hop, RESERVE, startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const CLOCK_AHEAD = 'reservation dropped at once: is its clock ahead?';
const COPIED_KEY = 'two devices reserve with one peer id: is its identity key copied?';

async function startWatchedRelay() {
  const lines: Array<Record<string, unknown>> = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => lines.push(JSON.parse(line)) },
  );
  const clock = createManualClock();
  const relay = await startRelay({}, { clock, log });
  const reservations = async (): Promise<number> => relay.metric('rustory_relay_reservations');
  return {
    relay,
    clock,
    reservations,
    written: (msg: string) => lines.filter((line) => line['msg'] === msg),
  };
}

describe('a reservation that ends at once', () => {
  test('is logged with the question about the clock, once for each device', async () => {
    const { relay, reservations, written } = await startWatchedRelay();
    const identity = await generateKeyPair('Ed25519');
    for (let count = 0; count < 2; count += 1) {
      const device = await startPeer(undefined, { identity });
      await hop(device, relay, RESERVE);
      await device.stop();
      await until(async () => (await reservations()) === 0, 'the reservation is released');
    }
    const device = await startPeer(undefined, { identity });
    expect(written(CLOCK_AHEAD)).toMatchObject([
      { peer: device.peerId.toString(), address: expect.stringContaining('/ip4/127.0.0.1/tcp/') },
    ]);
  });

  test('is logged when the client closes the connection at its idle timeout of 10 s', async () => {
    const { relay, clock, reservations, written } = await startWatchedRelay();
    const device = await startPeer(relay);
    clock.advance(10_500);
    await device.stop();
    await until(async () => (await reservations()) === 0, 'the reservation is released');
    expect(written(CLOCK_AHEAD)).toHaveLength(1);
  });

  test('is not logged when it is older, or when the relay stops', async () => {
    const { relay, clock, reservations, written } = await startWatchedRelay();
    const device = await startPeer(relay);
    clock.advance(13_000);
    await device.stop();
    await until(async () => (await reservations()) === 0, 'the reservation is released');
    await startPeer(relay);
    await relay.stop();
    expect(written(CLOCK_AHEAD)).toEqual([]);
  });
});

describe('two connections of one peer id that both reserve', () => {
  test('from two addresses, both in use, are logged with both addresses', async () => {
    const { relay, clock, written } = await startWatchedRelay();
    const identity = await generateKeyPair('Ed25519');
    const first = await startPeer(relay, { identity });
    await startPeer(await startProxy(relay, 0, '127.0.0.2'), { identity });
    await until(async () => {
      clock.advance(1_000);
      // The device uses its connection, as rr does with a ping every 15 s.
      await hop(first, relay, { type: HopMessage.Type.STATUS });
      return written(COPIED_KEY).length > 0;
    }, 'the line is written');
    expect(written(COPIED_KEY)).toMatchObject([
      {
        peer: first.peerId.toString(),
        addresses: [expect.stringContaining('/ip4/127.0.0.1/'), expect.stringContaining('/ip4/127.0.0.2/')],
      },
    ]);
  });

  test.each([
    ['when the first one was left over from another network', '127.0.0.2', true],
    ['when they come from one address, such as that of a load balancer', '127.0.0.1', false],
  ])('are not logged %s', async (_, localAddress, isLeftOver) => {
    const { relay, clock, written } = await startWatchedRelay();
    const proxy = await startProxy(relay);
    const identity = await generateKeyPair('Ed25519');
    const first = await startPeer(proxy, { identity });
    if (isLeftOver) proxy.cut();
    await startPeer(await startProxy(relay, 0, localAddress), { identity });
    for (let seconds = 0; seconds < 70; seconds += 1) {
      clock.advance(1_000);
      if (!isLeftOver) await hop(first, proxy, { type: HopMessage.Type.STATUS });
    }
    expect(written(COPIED_KEY)).toEqual([]);
  });
});
