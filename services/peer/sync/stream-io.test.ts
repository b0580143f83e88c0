import { afterEach, expect, test } from '@jest/globals';
import type { Stream, StreamHandler } from '@libp2p/interface';
import { followPeerEnd, readToEnd, writeAndClose } from './stream-io.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { startDevice } from '../../../testing/peer.ts';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';

afterEach(cleanUp);

const PROTOCOL = '/test/1.0.0';

async function openStream(serve: StreamHandler = () => {}): Promise<Stream> {
  const [server, client] = [await startDevice(['/ip4/127.0.0.1/tcp/0']), await startDevice()];
  await server.node.libp2p.handle(PROTOCOL, serve);
  return client.node.libp2p.dialProtocol(server.node.libp2p.getMultiaddrs(), PROTOCOL);
}

// An unhandled rejection would end the process.
test.each([
  [
    'read',
    async (stream: Stream, signal: AbortSignal) =>
      readToEnd(stream, 10, { idleTimeoutMs: WAIT_TIMEOUT_MS, signal }),
  ],
  [
    'written',
    async (stream: Stream, signal: AbortSignal) =>
      writeAndClose(stream, Buffer.from('x'), { idleTimeoutMs: WAIT_TIMEOUT_MS, signal }),
  ],
])(
  'a message that is %s with an aborted signal rejects once, with the reason of the signal',
  async (_, use) => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listen);
    try {
      const stream = await openStream();
      await expect(use(stream, AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping');
      expect(stream.status).toBe('aborted');
      await new Promise(setImmediate);
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', listen);
    }
  },
);

// Peers refuse a request with an end before they have read it.
test.each(['', 'no'])('the answer %j that ends before the request is written is complete', async (answer) => {
  const stream = await openStream((served) => {
    if (answer !== '') served.send(Buffer.from(answer));
    void served.close();
  });
  const peerEnd = followPeerEnd(stream);
  await until(() => stream.remoteWriteStatus === 'closed', 'the end arrives');
  const options = { idleTimeoutMs: WAIT_TIMEOUT_MS };
  await writeAndClose(stream, Buffer.from('request'), options);
  expect(String(await readToEnd(stream, 10, { ...options, peerEnd }))).toBe(answer);
});

test('an answer whose connection closes first is cut', async () => {
  const stream = await openStream((_, connection) => connection.abort(new Error('The connection is cut.')));
  const peerEnd = followPeerEnd(stream);
  await until(() => stream.status !== 'open', 'the connection closes');
  await expect(readToEnd(stream, 10, { idleTimeoutMs: WAIT_TIMEOUT_MS, peerEnd })).rejects.toMatchObject({
    code: 'STREAM_CUT',
  });
});
