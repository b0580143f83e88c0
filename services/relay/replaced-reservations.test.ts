import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { startProxy } from '../../testing/proxy.ts';
import { hop, RESERVE, startPeer, startRelay } from '../../testing/relay.ts';
import { REPLACEABLE_MS } from './liveness-limits.ts';

afterEach(cleanUp);

test('a full relay gives the reservation of a device that vanished to a new one, but not within a gap of 15 minutes', async () => {
  const clock = createManualClock();
  const relay = await startRelay({ limits: { reservations: 1 } }, { clock });
  const proxy = await startProxy(relay);
  await startPeer(proxy);
  proxy.cut();
  clock.advance(17 * 60_000);
  expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  clock.advance(REPLACEABLE_MS - 17 * 60_000);
  const device = await startPeer();
  expect((await hop(device, relay, RESERVE)).status).toBe('OK');
  expect(await relay.metric('rustory_relay_connections_refused_total{reason="replaced"}')).toBe(1);
  expect(await relay.metric('rustory_relay_reservations')).toBe(1);
  expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
});
