import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { acceptAndNeverRead, acceptBareCircuits, openBareCircuit } from '../../testing/load-devices.ts';
import type { Stream } from '@libp2p/interface';
import { until } from '../../testing/wait.ts';
import {
  connectTo,
  dialEcho,
  exchange,
  hop,
  muxers,
  startPeer,
  startRelay,
  type Relay,
} from '../../testing/relay.ts';

afterEach(cleanUp);

const CHUNK = randomBytes(64 * 1024);

/** Enough for a circuit without a rate limit to carry many megabytes. */
const MEASUREMENT_MS = 500;

/** Sends without end, as fast as the stream accepts it. */
function flood(stream: Stream): void {
  const pour = (): void => {
    while (stream.writeStatus === 'writable' && stream.send(CHUNK));
  };
  stream.addEventListener('drain', pour);
  pour();
}

/** The relay's address as text. */
function textOf({ address }: Relay): { address: string } {
  return { address: address.toString() };
}

describe('a circuit', () => {
  test.each([
    { a: 'yamux', b: 'yamux', of: [muxers, muxers] },
    { a: 'mplex', b: 'mplex', of: [muxers.slice(1), muxers.slice(1)] },
    { a: 'yamux', b: 'mplex', of: [muxers, muxers.slice(1)] },
  ])('from $a to $b carries 8 MiB in both directions unchanged', async ({ of: [from, to] }) => {
    const relay = await startRelay();
    const target = await startPeer(relay, { muxers: to ?? [] });
    const source = await startPeer(undefined, { muxers: from ?? [] });
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 8 * 1024 * 1024);
    expect([bytes, received]).toEqual([8 * 1024 * 1024, sent]);
    for (const direction of ['to_target', 'to_source']) {
      const relayed = await relay.metric(`rustory_relay_relayed_bytes_total{direction="${direction}"}`);
      expect(relayed).toBeGreaterThan(8 * 1024 * 1024);
    }
  });

  test('to a peer without a reservation is refused', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer()];
    await target.dial(relay.address);
    expect((await hop(source, relay, connectTo(target))).status).toBe('NO_RESERVATION');
  });

  test('to a peer that does not answer STOP fails and is no longer counted', async () => {
    const relay = await startRelay({ limits: { circuits: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await target.unhandle('/libp2p/circuit/relay/0.2.0/stop');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    }
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test.each([
    { limit: { circuits: 1 }, reason: 'circuits' },
    { limit: { circuitsPerPeer: 1 }, reason: 'source' },
  ])('above the limit is refused, and running circuits go on ($reason)', async ({ limit, reason }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target, other] = [await startPeer(), await startPeer(relay), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(source, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric(`rustory_relay_circuit_requests_total{outcome="${reason}"}`)).toBe(1);
    const { sent, received } = await exchange(stream, 100_000);
    expect(received).toBe(sent);
  });

  test('to a target at its limit is refused for every source', async () => {
    const relay = await startRelay({ limits: { circuitsPerPeer: 1 } });
    const [source, other, target] = [await startPeer(), await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(other, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric('rustory_relay_circuit_requests_total{outcome="target"}')).toBe(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });

  test('ends at its maximum of bytes', async () => {
    const relay = await startRelay({ limits: { circuitBytes: 1024 * 1024 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await expect(exchange(await dialEcho(source, relay, target), 2 * 1024 * 1024)).rejects.toThrow();
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="bytes"}')) === 1,
      'the circuit is counted',
    );
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test('ends at its maximum duration', async () => {
    const relay = await startRelay({ limits: { circuitSeconds: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is closed');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="duration"}')) === 1,
      'the circuit is counted',
    );
  });

  test('ends at its idle timeout', async () => {
    const relay = await startRelay({ limits: { circuitIdleSeconds: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is closed');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="idle"}')) === 1,
      'the circuit is counted',
    );
  });

  test.each([
    { of: 'the circuit', limit: { circuitBytesPerSecond: 1024 * 1024 } },
    { of: 'the peer', limit: { peerBytesPerSecond: 1024 * 1024 } },
  ])('with a rate limit of $of carries all bytes', async ({ limit }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 1024 * 1024);
    expect([bytes, received]).toEqual([1024 * 1024, sent]);
  });

  test.each([
    { of: 'a circuit', limit: 'circuitBytesPerSecond', circuits: 1 },
    { of: 'all circuits of a peer', limit: 'peerBytesPerSecond', circuits: 3 },
  ])('is slowed down to the rate limit of $of, and stays open', async ({ limit, circuits }) => {
    const [rate, buffer] = [64 * 1024, 256 * 1024];
    const relay = await startRelay({ limits: { [limit]: rate, circuitBufferBytes: buffer } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await acceptBareCircuits(target, (stream) => stream.addEventListener('message', () => {}));
    const startedMs = performance.now();
    const streams = await Promise.all(
      Array.from({ length: circuits }, async () => openBareCircuit(textOf(relay), source, target)),
    );
    for (const stream of streams) flood(stream);
    await until(() => performance.now() - startedMs > MEASUREMENT_MS, 'the measurement is long enough');
    const relayed = await relay.metric('rustory_relay_relayed_bytes_total{direction="to_target"}');
    const seconds = (performance.now() - startedMs) / 1000;
    expect(relayed).toBeGreaterThan(rate);
    // The burst, the rate, and one buffer of each circuit that was read before the limiter paused it.
    expect(relayed).toBeLessThanOrEqual(rate * (1 + seconds) + circuits * buffer);
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 'open'));
  });

  test('is reset for its source when its target is killed', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    for (const connection of target.getConnections()) connection.abort(new Error('killed'));
    await until(() => stream.status !== 'open', 'the stream is closed');
    await until(async () => (await relay.metric('rustory_relay_circuits')) === 0, 'the circuit has ended');
  });

  test('uses the newest connection of its target', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const second = await target.dial(relay.address, { force: true });
    const stream = await dialEcho(source, relay, target);
    expect(second.streams.filter(({ protocol }) => protocol.endsWith('/stop'))).toHaveLength(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });
});

test('receivers that never read slow down their senders only', async () => {
  const relay = await startRelay({ limits: { bufferedBytes: 1024 * 1024, circuitBufferBytes: 256 * 1024 } });
  const [target, other] = [await startPeer(relay), await startPeer(relay)];
  await acceptAndNeverRead(target);
  const senders = await Promise.all(
    Array.from({ length: 8 }, async () => openBareCircuit(textOf(relay), await startPeer(), target)),
  );
  for (const sender of senders) flood(sender);
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) > 512 * 1024,
    'the buffers are half full',
  );
  // A circuit to another device is not affected.
  const { sent, received } = await exchange(await dialEcho(await startPeer(), relay, other), 4 * 1024 * 1024);
  expect(received).toBe(sent);
  // Above the limit only one socket read of each sender may wait.
  expect(await relay.metric('rustory_relay_buffered_bytes')).toBeLessThan(1024 * 1024 + 8 * 64 * 1024);
  for (const sender of senders) sender.abort(new Error('the test has ended'));
  await until(async () => (await relay.metric('rustory_relay_buffered_bytes')) === 0, 'no byte waits');
}, 30_000);
