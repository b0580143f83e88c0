import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { startProxy } from '../../testing/proxy.ts';
import { connectTo, dialEcho, exchange, hop, startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';
import { QUIET_MS, STOP_MS } from './liveness-limits.ts';
import { STOP_PROTOCOL } from './messages.ts';

afterEach(cleanUp);

/** A relay with a clock of its own, a source, and a target whose network can be interrupted. */
async function setUp() {
  const clock = createManualClock();
  const relay = await startRelay({}, { clock });
  const proxy = await startProxy(relay);
  const [source, target] = [await startPeer(), await startPeer(proxy)];
  const connect = async (): Promise<unknown> =>
    (await clock.advanceUntilDone(hop(source, relay, connectTo(target)))).status;
  const outcomes = async (outcome: string): Promise<number> =>
    relay.metric(`rustory_relay_circuit_requests_total{outcome="${outcome}"}`);
  return { clock, relay, proxy, source, target, connect, outcomes };
}

describe('the target of a circuit', () => {
  test('that was heard shortly before gets 8 s; then it is refused at once until it sends a byte', async () => {
    const { clock, relay, proxy, source, target, connect, outcomes } = await setUp();
    proxy.cut();
    const startedMs = clock.nowMs();
    expect(await connect()).toBe('CONNECTION_FAILED');
    expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(STOP_MS);
    expect(await outcomes('target_no_answer')).toBe(1);
    // The clock stands still, so these are not waited for.
    for (let count = 0; count < 3; count += 1)
      expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    expect(await outcomes('target_still_quiet')).toBe(3);
    clock.advance(15 * 60_000);
    expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
    proxy.restore();
    const stream = await clock.advanceUntilDone(
      (async () => {
        for (;;) {
          try {
            return await dialEcho(source, relay, target);
          } catch {
            // The bytes that wait in the proxy have not arrived yet.
          }
        }
      })(),
    );
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
    expect(target.getConnections().filter(({ direct }) => direct)).toHaveLength(1);
  });

  test('that is quiet is pinged, and gets the circuit when it answers', async () => {
    const { clock, relay, source, target, outcomes } = await setUp();
    clock.advance(QUIET_MS + 1_000);
    expect((await exchange(await dialEcho(source, relay, target), 1_000)).bytes).toBe(1_000);
    expect(await outcomes('ok')).toBe(1);
  });

  test('that is quiet and does not answer a ping within 2 s is refused', async () => {
    const { clock, relay, proxy, connect, outcomes } = await setUp();
    proxy.cut();
    clock.advance(QUIET_MS + 1_000);
    const startedMs = clock.nowMs();
    expect(await connect()).toBe('CONNECTION_FAILED');
    expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(2_000);
    expect([await outcomes('target_quiet'), await outcomes('target_no_answer')]).toEqual([1, 0]);
    expect(await connect()).toBe('CONNECTION_FAILED');
    expect(await outcomes('target_still_quiet')).toBe(1);
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
  });

  test('is asked at once on a connection on which it reserves meanwhile', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const proxy = await startProxy(relay);
    const identity = await generateKeyPair('Ed25519');
    const [source, target] = [await startPeer(), await startPeer(proxy, { identity })];
    proxy.cut();
    const circuit = dialEcho(source, relay, target);
    await until(async () => (await relay.metric('rustory_relay_circuits')) === 1, 'the circuit is set up');
    await startPeer(relay, { identity });
    // The clock stands still, so no deadline ends the first attempt.
    expect((await exchange(await circuit, 1_000)).bytes).toBe(1_000);
  });

  test('that sends other bytes, but no response, is refused and asked again by the next request', async () => {
    const { clock, source, relay, target, connect, outcomes } = await setUp();
    await target.unhandle(STOP_PROTOCOL);
    await target.handle(STOP_PROTOCOL, (stream) => stream.addEventListener('message', () => {}));
    expect(await connect()).toBe('CONNECTION_FAILED');
    expect([await outcomes('target_unreachable'), await outcomes('target_no_answer')]).toEqual([1, 0]);
    const second = hop(source, relay, connectTo(target));
    expect((await clock.advanceUntilDone(second)).status).toBe('CONNECTION_FAILED');
    expect(await outcomes('target_still_quiet')).toBe(0);
  });
});
