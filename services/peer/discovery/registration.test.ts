import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import {
  CIRCUIT,
  createTestRegistrations,
  META,
  OWN_PEER_ID,
  type Pause,
  registered,
} from '../../../testing/registration.ts';
import { startTestTracker } from '../../../testing/test-tracker.ts';
import { until } from '../../../testing/wait.ts';

afterEach(cleanUp);

describe('the registration of a serving device', () => {
  test('is made with every tracker, and removed at the stop', async () => {
    const trackers = [await startTestTracker(), await startTestTracker()];
    const { registrations, state, stop, lines } = createTestRegistrations(trackers);
    state.addresses = ['/one'];
    registrations.start();
    for (const { records } of trackers) await until(() => records.has(OWN_PEER_ID), 'it is registered');
    await until(() => lines.length === 2, 'it is logged');
    for (const { url } of trackers)
      expect(lines).toContainEqual({ tracker: url, addrs: ['/one'], message: 'registered' });
    expect(trackers[0]?.records.get(OWN_PEER_ID)?.meta).toEqual(META);
    await stop();
    for (const tracker of trackers) expect(registered(tracker)).toEqual(['register /one', 'unregister']);
    expect(lines).toContainEqual({ trackers: 2, kept: 0, failed: 0, message: 'unregistered' });
  });

  test('is made without an address, and changed at once when the addresses change, down to none', async () => {
    const tracker = await startTestTracker();
    const { registrations, change, pauseAfter } = createTestRegistrations([tracker]);
    registrations.start();
    await pauseAfter(1);
    change('/one', '/two');
    await pauseAfter(2);
    change('/two');
    await pauseAfter(3);
    change();
    await pauseAfter(4);
    expect(tracker.requests).toEqual(['register', 'register /one /two', 'register /two', 'register']);
  });

  test('contains the latest addresses when they change quickly', async () => {
    const tracker = await startTestTracker();
    const { registrations, change } = createTestRegistrations([tracker]);
    registrations.start();
    for (let port = 0; port < 50; port += 1) change(`/tcp/${port}`);
    await until(() => tracker.requests.at(-1) === 'register /tcp/49', 'the latest address is registered');
    expect(tracker.requests.length).toBeLessThan(5);
  });

  test.each([
    [60, 30_000],
    [20, 10_000],
    [3, 1_500],
    [1, 1_000],
    [86_400, 30_000],
    [0, 30_000],
    [-5, 30_000],
    [1e300, 30_000],
    ['60', 30_000],
    [undefined, 30_000],
  ])('with a ttl_sec of %p is renewed after %i ms', async (ttl, milliseconds) => {
    const tracker = await startTestTracker();
    tracker.ttl = ttl;
    const { registrations, pauseAfter } = createTestRegistrations([tracker]);
    registrations.start();
    const pause = await pauseAfter(1);
    expect(pause.milliseconds).toBe(milliseconds);
    pause.end();
    await pauseAfter(2);
    expect(registered(tracker)).toEqual(['register', 'register']);
  });

  test('is renewed at random up to a fifth earlier, but not more than once a second', async () => {
    const [minute, second] = [await startTestTracker(), await startTestTracker()];
    second.ttl = 1;
    const first = createTestRegistrations([minute], { random: 1 });
    first.registrations.start();
    expect((await first.pauseAfter(1)).milliseconds).toBe(24_000);
    const other = createTestRegistrations([second], { random: 1 });
    other.registrations.start();
    expect((await other.pauseAfter(1)).milliseconds).toBe(1_000);
  });

  test('is tried again after growing pauses when a tracker fails, and does not wait for that tracker', async () => {
    const [failing, working] = [await startTestTracker(), await startTestTracker()];
    failing.status = 503;
    const { registrations, pauses, lines } = createTestRegistrations([failing, working]);
    registrations.start();
    await until(() => working.records.has(OWN_PEER_ID) && pauses.length === 2, 'one is registered');
    const retries = (): Pause[] => pauses.filter(({ milliseconds }) => milliseconds < 30_000);
    for (let tries = 1; tries <= 4; tries += 1) {
      await until(() => retries().length === tries, 'it has failed again');
      if (tries === 4) failing.status = 200;
      retries().at(-1)?.end();
    }
    expect(retries().map(({ milliseconds }) => milliseconds)).toEqual([1_000, 2_000, 4_000, 5_000]);
    await until(() => failing.records.has(OWN_PEER_ID), 'it is registered');
    expect(lines.filter(({ message }) => message === 'registration failed').length).toBeGreaterThan(0);
  });

  test.each([
    [403, {}, 30_000],
    [401, {}, 30_000],
    [429, { 'Retry-After': '7' }, 7_000],
    [503, { 'Retry-After': '4' }, 4_000],
    [429, { 'Retry-After': '86400' }, 30_000],
    [429, {}, 1_000],
  ])('that is refused with %i %p is tried again after %i ms', async (status, headers, milliseconds) => {
    const tracker = await startTestTracker();
    Object.assign(tracker, { status, headers });
    const { registrations, pauseAfter } = createTestRegistrations([tracker]);
    registrations.start();
    expect((await pauseAfter(1)).milliseconds).toBe(milliseconds);
  });

  test('is not removed when another process has registered other addresses', async () => {
    const tracker = await startTestTracker();
    const { registrations, pauseAfter, stop, lines } = createTestRegistrations([tracker]);
    registrations.start();
    await pauseAfter(1);
    tracker.put(OWN_PEER_ID, [CIRCUIT], META);
    await stop();
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
    expect(lines).toContainEqual({ trackers: 0, kept: 1, failed: 0, message: 'unregistered' });
  });

  test.each([0, 7_200, -7_200])(
    'is not removed when another process has registered the same addresses later, with a tracker clock %i s ahead',
    async (clockSkewSeconds) => {
      const tracker = await startTestTracker();
      tracker.clockSkewSeconds = clockSkewSeconds;
      const { registrations, pauseAfter, state, stop } = createTestRegistrations([tracker]);
      state.addresses = [CIRCUIT];
      registrations.start();
      await pauseAfter(1);
      state.ms += 10_000;
      tracker.clockSkewSeconds += 10;
      tracker.put(OWN_PEER_ID, [CIRCUIT], META);
      await stop();
      expect(tracker.records.has(OWN_PEER_ID)).toBe(true);
    },
  );

  test('is removed when the tracker has dropped private addresses from it', async () => {
    const tracker = await startTestTracker();
    const { registrations, state, pauseAfter, stop } = createTestRegistrations([tracker]);
    state.addresses = [CIRCUIT, '/ip4/192.168.1.5/tcp/1'];
    registrations.start();
    await pauseAfter(1);
    tracker.put(OWN_PEER_ID, [CIRCUIT], META);
    await stop();
    expect(tracker.records.has(OWN_PEER_ID)).toBe(false);
  });

  test('has circuits first, then public addresses, when there are more than a tracker keeps', async () => {
    const tracker = await startTestTracker();
    const { registrations, state, pauseAfter } = createTestRegistrations([tracker]);
    const publicAddress = '/ip4/203.0.113.7/tcp/1';
    const dockerBridges = Array.from({ length: 40 }, (_, n) => `/ip4/172.17.${n}.1/tcp/1`);
    state.addresses = ['/ip4/127.0.0.1/tcp/1', ...dockerBridges, publicAddress, CIRCUIT];
    registrations.start();
    await pauseAfter(1);
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([
      CIRCUIT,
      publicAddress,
      ...dockerBridges.slice(0, 30),
    ]);
  });

  test('that was never made is not removed', async () => {
    const tracker = await startTestTracker();
    await createTestRegistrations([tracker]).stop();
    expect(tracker.requests).toEqual([]);
  });
});
