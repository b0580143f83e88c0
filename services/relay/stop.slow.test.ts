// Slow because the relay waits for the deadline of the dead connection before it tries the next one.
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { startProxy } from '../../testing/proxy.ts';
import { dialEcho, exchange, startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

test('a circuit uses another connection of its target when the newest one is dead', async () => {
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
});
