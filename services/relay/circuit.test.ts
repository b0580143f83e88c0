import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { acceptAndNeverRead, acceptBareCircuits, openBareCircuit } from '../../testing/load-devices.ts';
import type { Stream } from '@libp2p/interface';
import { until } from '../../testing/wait.ts';
import { startProxy } from '../../testing/proxy.ts';
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

/** Sends without end, as fast as the stream takes it. */
function flood(stream: Stream): void {
  const pour = (): void => {
    while (stream.writeStatus === 'writable' && stream.send(CHUNK));
  };
  stream.addEventListener('drain', pour);
  pour();
}

/** The relay as the devices of the load scripts take it. */
function textOf({ address }: Relay): { address: string } {
  return { address: address.toString() };
}

describe('a circuit', () => {
  test.each([
    { a: 'yamux', b: 'yamux', of: [muxers, muxers] },
    { a: 'mplex', b: 'mplex', of: [muxers.slice(1), muxers.slice(1)] },
    { a: 'yamux', b: 'mplex', of: [muxers, muxers.slice(1)] },
  ])('from $a to $b carries 8 MiB there and back, byte for byte', async ({ of: [from, to] }) => {
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

  test('to a peer that does not answer STOP fails, and frees its place', async () => {
    const relay = await startRelay({ limits: { circuits: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await target.unhandle('/libp2p/circuit/relay/0.2.0/stop');
    for (let at = 0; at < 3; at += 1) {
      expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    }
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test.each([
    { limit: { circuits: 1 }, reason: 'circuits' },
    { limit: { circuitsPerPeer: 1 }, reason: 'source' },
  ])('beyond the limit is refused, while running ones go on ($reason)', async ({ limit, reason }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target, other] = [await startPeer(), await startPeer(relay), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(source, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric(`rustory_relay_circuit_requests_total{outcome="${reason}"}`)).toBe(1);
    const { sent, received } = await exchange(stream, 100_000);
    expect(received).toBe(sent);
  });

  test('to a target that has as many as it may is refused, whoever asks', async () => {
    const relay = await startRelay({ limits: { circuitsPerPeer: 1 } });
    const [source, other, target] = [await startPeer(), await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(other, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric('rustory_relay_circuit_requests_total{outcome="target"}')).toBe(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });

  test('ends when it has carried its bytes', async () => {
    const relay = await startRelay({ limits: { circuitBytes: 1024 * 1024 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await expect(exchange(await dialEcho(source, relay, target), 2 * 1024 * 1024)).rejects.toThrow();
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="bytes"}')) === 1,
      'the circuit is counted',
    );
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test('ends when its time is over', async () => {
    const relay = await startRelay({ limits: { circuitSeconds: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="duration"}')) === 1,
      'the circuit is counted',
    );
  });

  test('ends when it has carried nothing for too long', async () => {
    const relay = await startRelay({ limits: { circuitIdleSeconds: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="idle"}')) === 1,
      'the circuit is counted',
    );
  });

  test.each([
    { of: 'the circuit', limit: { circuitBytesPerSecond: 1024 * 1024 } },
    { of: 'the peer', limit: { peerBytesPerSecond: 1024 * 1024 } },
  ])('that keeps to a rate of $of carries everything all the same', async ({ limit }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 1024 * 1024);
    expect([bytes, received]).toEqual([1024 * 1024, sent]);
  });

  test.each([
    { of: 'a circuit', limit: 'circuitBytesPerSecond', circuits: 1 },
    { of: 'a peer, all its circuits together,', limit: 'peerBytesPerSecond', circuits: 3 },
  ])('the rate of $of is kept to, and nothing is closed for it', async ({ limit, circuits }) => {
    const [rate, buffer] = [64 * 1024, 256 * 1024];
    const relay = await startRelay({ limits: { [limit]: rate, circuitBufferBytes: buffer } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await acceptBareCircuits(target, (stream) => stream.addEventListener('message', () => {}));
    const began = performance.now();
    const streams = await Promise.all(
      Array.from({ length: circuits }, async () => openBareCircuit(textOf(relay), source, target)),
    );
    for (const stream of streams) flood(stream);
    await until(() => performance.now() - began > 2_000, 'the burst is over');
    const relayed = await relay.metric('rustory_relay_relayed_bytes_total{direction="to_target"}');
    const seconds = (performance.now() - began) / 1000;
    expect(relayed).toBeGreaterThan(rate);
    // The burst, the rate, and what was read at once when each went over it. Without a rate it would be 64 MiB each.
    expect(relayed).toBeLessThanOrEqual(rate * (1 + seconds) + circuits * buffer);
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 'open'));
  });

  test('whose target is killed breaks for the source too', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    for (const connection of target.getConnections()) connection.abort(new Error('killed'));
    await until(() => stream.status !== 'open', 'the stream is gone');
    await until(async () => (await relay.metric('rustory_relay_circuits')) === 0, 'the circuit is gone');
  });

  test('goes over another connection of its target when the newest one is dead', async () => {
    const relay = await startRelay();
    const proxy = await startProxy(relay);
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await target.dial(proxy.address, { force: true });
    await until(
      async () => (await relay.metric('rustory_relay_connections{muxer="yamux"}')) === 2,
      'the relay has both connections',
    );
    proxy.cut();
    const stream = await dialEcho(source, relay, target);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  }, 30_000);

  test('goes over the newest live connection of its target', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const second = await target.dial(relay.address, { force: true });
    const stream = await dialEcho(source, relay, target);
    expect(second.streams.filter(({ protocol }) => protocol.endsWith('/stop'))).toHaveLength(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });
});

test('receivers that never read hold back their senders, not the relay or others', async () => {
  const relay = await startRelay({ limits: { bufferedBytes: 1024 * 1024, circuitBufferBytes: 256 * 1024 } });
  const [target, other] = [await startPeer(relay), await startPeer(relay)];
  await acceptAndNeverRead(target);
  const senders = await Promise.all(
    Array.from({ length: 8 }, async () => openBareCircuit(textOf(relay), await startPeer(), target)),
  );
  for (const sender of senders) flood(sender);
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) > 512 * 1024,
    'the buffers are tight',
  );
  // Another circuit, to another device, works as if nothing were.
  const { sent, received } = await exchange(await dialEcho(await startPeer(), relay, other), 4 * 1024 * 1024);
  expect(received).toBe(sent);
  // A sender is held back with what one read of its socket brought, whatever it would still like to send.
  expect(await relay.metric('rustory_relay_buffered_bytes')).toBeLessThan(1024 * 1024 + 8 * 64 * 1024);
  for (const sender of senders) sender.abort(new Error('the test is over'));
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) === 0,
    'nothing waits any more',
  );
}, 30_000);
