import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { acceptBareCircuits, flood, openBareCircuit, startDevice } from '../../testing/load-devices.ts';
import { swarmKey } from '../../testing/relay-config.ts';
import { until } from '../../testing/wait.ts';
import { connectTo, dialEcho, exchange, hop, startPeer, startRelay } from '../../testing/relay.ts';

afterEach(cleanUp);

/** Duration of a measurement, in milliseconds. Without a rate limit a circuit carries many megabytes in this time. */
const MEASUREMENT_MS = 500;

describe('the limits of circuits', () => {
  test.each([
    { limit: { circuits: 1 }, reason: 'circuits' },
    { limit: { circuitsPerPeer: 1 }, reason: 'source' },
  ])('refuse a new circuit and do not affect running ones ($reason)', async ({ limit, reason }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target, other] = [await startPeer(), await startPeer(relay), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(source, relay, connectTo(other))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric(`rustory_relay_circuit_requests_total{outcome="${reason}"}`)).toBe(1);
    const { sent, received } = await exchange(stream, 100_000);
    expect(received).toBe(sent);
  });

  test('refuse every source when the target has the maximum number of circuits', async () => {
    const relay = await startRelay({ limits: { circuitsPerTarget: 1 } });
    const [source, other, target] = [await startPeer(), await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    expect((await hop(other, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
    expect(await relay.metric('rustory_relay_circuit_requests_total{outcome="target"}')).toBe(1);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });

  test('permit by default that a hundred circuits to one target are opened in the same second', async () => {
    const relay = await startRelay();
    const target = await startDevice(swarmKey, relay);
    onCleanup(async () => target.stop());
    await acceptBareCircuits(target, () => {});
    const sources = await Promise.all(Array.from({ length: 4 }, async () => startDevice(swarmKey)));
    for (const source of sources) onCleanup(async () => source.stop());
    const perSource = Array.from({ length: 25 });
    await Promise.all(
      sources.flatMap((source) => perSource.map(async () => openBareCircuit(relay, source, target))),
    );
    expect(await relay.metric('rustory_relay_circuits')).toBe(100);
  });

  test('end a circuit at its maximum of bytes', async () => {
    const relay = await startRelay({ limits: { circuitBytes: 1024 * 1024 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await expect(exchange(await dialEcho(source, relay, target), 2 * 1024 * 1024)).rejects.toThrow();
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="bytes"}')) === 1,
      'the circuit is counted',
    );
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test('end a circuit at its maximum duration', async () => {
    const relay = await startRelay({ limits: { circuitSeconds: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    await until(() => stream.status !== 'open', 'the stream is closed');
    await until(
      async () => (await relay.metric('rustory_relay_circuits_ended_total{reason="duration"}')) === 1,
      'the circuit is counted',
    );
  });

  test('end a circuit at its idle timeout', async () => {
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
  ])('let all bytes of a circuit pass at the rate of $of', async ({ limit }) => {
    const relay = await startRelay({ limits: limit });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 1024 * 1024);
    expect([bytes, received]).toEqual([1024 * 1024, sent]);
  });

  test.each([
    { of: 'a circuit', limit: 'circuitBytesPerSecond', circuits: 1 },
    { of: 'all circuits of a peer', limit: 'peerBytesPerSecond', circuits: 3 },
  ])('slow a circuit down to the rate of $of and keep it open', async ({ limit, circuits }) => {
    const [rate, buffer] = [64 * 1024, 256 * 1024];
    const relay = await startRelay({ limits: { [limit]: rate, circuitBufferBytes: buffer } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await acceptBareCircuits(target, (stream) => stream.addEventListener('message', () => {}));
    const startedMs = performance.now();
    const streams = await Promise.all(
      Array.from({ length: circuits }, async () => openBareCircuit(relay, source, target)),
    );
    for (const stream of streams) flood(stream);
    await until(() => performance.now() - startedMs > MEASUREMENT_MS, 'the measurement is long enough');
    const relayed = await relay.metric('rustory_relay_relayed_bytes_total{direction="to_target"}');
    const seconds = (performance.now() - startedMs) / 1000;
    expect(relayed).toBeGreaterThan(rate);
    // The burst, the rate, and one buffer per circuit that was read before the rate limiter paused the circuit.
    expect(relayed).toBeLessThanOrEqual(rate * (1 + seconds) + circuits * buffer);
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 'open'));
  });
});
