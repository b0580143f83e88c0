import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { pbStream } from '@libp2p/utils';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock, type ManualClock } from '../../testing/manual-clock.ts';
import { hop, RESERVE, startPeer, startRelay } from '../../testing/relay.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { createLateAnswers, createRefusalDelays } from './late-answers.ts';
import { HOP_PROTOCOL } from './messages.ts';

afterEach(cleanUp);

const OPEN = { onClose: () => () => {} };

describe('a peer that refreshes in a loop', () => {
  test('gets the last voucher again, late', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const peer = await startPeer();
    const first = (await hop(peer, relay, RESERVE)).reservation;
    const startedMs = clock.nowMs();
    for (let count = 1; count <= 3; count += 1) {
      const again = (await clock.advanceUntilDone(hop(peer, relay, RESERVE))).reservation;
      expect(again?.voucher).toEqual(first?.voucher);
      expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(count * 1_000);
    }
    clock.advance(120_000);
    const later = (await hop(peer, relay, RESERVE)).reservation;
    expect(later?.addrs).toEqual(first?.addrs);
    expect(await relay.metric('rustory_relay_reservation_requests_total{outcome="ok"}')).toBe(5);
  });

  test('with many requests at once gets an OK for each', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const peer = await startPeer();
    await peer.dial(relay.address);
    const all = Promise.all(Array.from({ length: 24 }, async () => hop(peer, relay, RESERVE)));
    const statuses = (await clock.advanceUntilDone(all)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set(['OK']));
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
  });
});

describe('a peer that is refused again and again', () => {
  test('is answered later each time, up to 10 s, and at once after it was served', async () => {
    const clock = createManualClock();
    const relay = await startRelay({ limits: { reservations: 1 } }, { clock });
    const identity = await generateKeyPair('Ed25519');
    const [reserved, refusedPeer] = [await startPeer(relay), await startPeer(undefined, { identity })];
    const waits: number[] = [];
    for (let count = 0; count < 6; count += 1) {
      const startedMs = clock.nowMs();
      const answer = await clock.advanceUntilDone(hop(refusedPeer, relay, RESERVE));
      expect(answer.status).toBe('RESERVATION_REFUSED');
      waits.push(clock.nowMs() - startedMs);
    }
    for (const [index, minimumMs] of [0, 1_000, 2_000, 4_000, 8_000, 10_000].entries())
      expect(waits[index]).toBeGreaterThanOrEqual(minimumMs);
    await reserved.stop();
    await until(
      async () => (await relay.metric('rustory_relay_reservations')) === 0,
      'the reservation is released',
    );
    expect((await hop(refusedPeer, relay, RESERVE)).status).toBe('OK');
  });

  test('is granted at the end of the wait what has become possible meanwhile', async () => {
    const manual = createManualClock();
    const delays: number[] = [];
    const clock: ManualClock = {
      ...manual,
      after(durationMs, callback) {
        delays.push(durationMs);
        return manual.after(durationMs, callback);
      },
    };
    const relay = await startRelay({ limits: { reservations: 1 } }, { clock });
    const [reserved, peer] = [await startPeer(relay), await startPeer()];
    expect((await hop(peer, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
    // The clock stands still, so this request waits.
    const second = hop(peer, relay, RESERVE);
    await until(() => delays.includes(1_000), 'the second request waits');
    await reserved.stop();
    await until(
      async () => (await relay.metric('rustory_relay_reservations')) === 0,
      'a reservation is free',
    );
    expect((await clock.advanceUntilDone(second)).status).toBe('OK');
  });

  test('that gives up gets no reservation, and does not delay a drain', async () => {
    const clock = createManualClock();
    const relay = await startRelay({ limits: { reservations: 1 } }, { clock });
    const [reserved, peer] = [await startPeer(relay), await startPeer()];
    expect((await hop(peer, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
    const stream = await peer.dialProtocol(relay.address, HOP_PROTOCOL);
    await pbStream(stream).pb(HopMessage).write(RESERVE);
    stream.abort(new Error('The client gives up.'));
    await reserved.stop();
    await until(
      async () => (await relay.metric('rustory_relay_reservations')) === 0,
      'a reservation is free',
    );
    await relay.drain?.(deadlineSignal());
    expect(await relay.metric('rustory_relay_reservations')).toBe(0);
  });
});

test('the first refusal is given at once, and so is the next after a minute without one', () => {
  let clockMs = 0;
  const delays = createRefusalDelays(() => clockMs);
  expect([1, 2, 3, 4, 5, 6, 7].map(() => delays.next('a'))).toEqual([
    0, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000,
  ]);
  expect(delays.next('b')).toBe(0);
  clockMs += 70_000;
  expect(delays.next('a')).toBe(0);
  expect(delays.next('a')).toBe(1_000);
  delays.clear('a');
  expect(delays.next('a')).toBe(0);
});

test('the number of late answers of one peer is limited; further ones are given at once', async () => {
  const clock = createManualClock();
  const answers = createLateAnswers(clock);
  const given: string[] = [];
  for (let count = 0; count < 20; count += 1)
    void answers.wait('a', 1_000, OPEN).then(() => given.push('late or not'));
  await until(() => given.length === 4, 'the answers above the limit of 16 are given');
  answers.drain();
  await until(() => given.length === 20, 'all waits end');
});
