// Slow because megabytes of small responses must be encrypted before the buffers of the kernel are full.
import { afterEach, expect, test } from '@jest/globals';
import type { Connection } from '@libp2p/interface';
import { cleanUp } from '../../testing/cleanup.ts';
import { hop, RESERVE, startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

/** Internals of the library that a hostile peer uses. */
interface Internals {
  readonly muxer: { send(data: Uint8Array): boolean };
  readonly maConn: { pause(): void };
}

/** A yamux frame that requires a response. */
const YAMUX_PING = Buffer.from('000200010000000000000000', 'hex');

test('closes a connection whose peer floods it with pings and reads no response', async () => {
  const relay = await startRelay({ limits: { circuitBufferBytes: 256 * 1024 } });
  const [peer, other] = [await startPeer(), await startPeer()];
  const connection = await peer.dial(relay.address);
  const { muxer, maConn } = connection as Connection & Internals;
  maConn.pause();
  const pings = Buffer.concat(Array.from({ length: 5_000 }, () => YAMUX_PING));
  for (let round = 0; connection.status === 'open' && round < 2_000; round += 1) {
    muxer.send(pings);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  await until(
    async () => (await relay.metric('rustory_relay_connections{muxer="yamux"}')) === 0,
    'the relay has closed the connection',
  );
  expect((await hop(other, relay, RESERVE)).status).toBe('OK');
});
