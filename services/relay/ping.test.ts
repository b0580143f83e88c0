import { afterEach, describe, expect, test } from '@jest/globals';
import type { Stream } from '@libp2p/interface';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';
import { PING_PROTOCOL } from './ping.ts';

afterEach(cleanUp);

async function ping(stream: Stream, bytes = 32): Promise<void> {
  let received = 0;
  const count = ({ data }: { data: { byteLength: number } }): void => void (received += data.byteLength);
  stream.addEventListener('message', count);
  stream.send(new Uint8Array(bytes).fill(7));
  await until(() => received === bytes, 'the ping is answered');
  stream.removeEventListener('message', count);
}

describe('a ping stream', () => {
  test('is answered for as long as it is used', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const peer = await startPeer(relay);
    const stream = await peer.dialProtocol(relay.address, PING_PROTOCOL);
    for (let count = 0; count < 5; count += 1) {
      await ping(stream);
      clock.advance(15 * 60_000);
    }
    await ping(stream, 100_000);
    await stream.close();
    await until(() => stream.status === 'closed', 'the relay closes it too');
  });

  test('that was used least recently is closed for a new one', async () => {
    const relay = await startRelay();
    const peer = await startPeer(relay);
    const streams: Stream[] = [];
    for (let count = 0; count < 4; count += 1) {
      const stream = await peer.dialProtocol(relay.address, PING_PROTOCOL);
      await ping(stream);
      streams.push(stream);
    }
    const [first, second] = streams as [Stream, Stream];
    await ping(first);
    await ping(await peer.dialProtocol(relay.address, PING_PROTOCOL));
    await until(() => second.status === 'reset', 'the least recently used one is closed');
    await ping(first);
  });

  test('is no use of its connection, which is closed at the idle timeout', async () => {
    const relay = await startRelay({ limits: { idleSeconds: 1 } });
    const [reserved, other] = [await startPeer(relay), await startPeer()];
    const stream = await other.dialProtocol(relay.address, PING_PROTOCOL);
    await ping(stream);
    await until(() => other.getConnections().length === 0, 'the idle connection is closed');
    expect(reserved.getConnections()).toHaveLength(1);
  });
});
