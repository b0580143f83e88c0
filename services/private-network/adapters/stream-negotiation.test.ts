// The negotiation of the protocol of streams, between the peer and a node on the stock implementations.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Connection, Stream } from '@libp2p/interface';
import { cleanUp } from '../../../testing/cleanup.ts';
import { startDevice, startTestRelay } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';

const PROTOCOL = '/test/1.0.0';
const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];

interface Pair {
  readonly ofStock: Connection;
  readonly ofDevice: Connection;
}

/** A device, and a stock node that has connected to it. */
async function startPair(): Promise<Pair> {
  const [{ node }, { libp2p: stock }] = await Promise.all([startDevice(LOOPBACK), startTestRelay()]);
  const device = node.libp2p;
  await device.handle(PROTOCOL, () => {});
  const ofStock = await stock.dial(device.getMultiaddrs());
  await until(() => device.getConnections().length === 1, 'the device has accepted the connection');
  const ofDevice = device.getConnections()[0] ?? ofStock;
  await until(() => ofStock.streams.length + ofDevice.streams.length === 0, 'nothing else is negotiated');
  return { ofStock, ofDevice };
}

interface Internals {
  readonly muxer: EventTarget & { createStream(): Promise<Stream> };
  readonly onIncomingStream: EventListener;
}

/** The members of a connection of the library with which a test can leave out its negotiation. */
function internalsOf(connection: Connection): Internals {
  return connection as unknown as Internals;
}

/** Answers each new stream of a connection with these bytes. */
function answerWith(connection: Connection, bytes: Buffer): void {
  const { muxer, onIncomingStream } = internalsOf(connection);
  muxer.removeEventListener('stream', onIncomingStream);
  muxer.addEventListener('stream', (event) => {
    if (bytes.length > 0) (event as CustomEvent<Stream>).detail.send(bytes);
  });
}

afterEach(cleanUp);

const ENDLESS_LENGTH = Buffer.alloc(64 * 1024, 0xff);

describe('a device', () => {
  test.each([
    ['a length that does not end', ENDLESS_LENGTH],
    ['proposals without end', Buffer.alloc(64 * 1024, Buffer.from('\x02a\n'))],
    ['another protocol', Buffer.alloc(128, Buffer.from('GET / HTTP/1.1\r\n\r\n'))],
  ])('resets a stream on which it gets %s, and keeps the connection', async (_, bytes) => {
    const { ofStock, ofDevice } = await startPair();
    const stream = await internalsOf(ofStock).muxer.createStream();
    stream.send(bytes);
    await until(() => stream.status !== 'open', 'the stream is reset');
    expect((await ofStock.newStream(PROTOCOL)).status).toBe('open');
    expect(ofDevice.streams.map(({ protocol }) => protocol)).toEqual([PROTOCOL]);
  });

  test('resets a stream whose answer to its proposals is not one', async () => {
    const { ofStock, ofDevice } = await startPair();
    answerWith(ofStock, ENDLESS_LENGTH);
    // One proposal is negotiated by the adapter, and several by the library.
    await expect(ofDevice.newStream('/a')).rejects.toThrow('a line is too long');
    await expect(ofDevice.newStream(['/b', '/c'])).rejects.toThrow('more than 1024 bytes');
    expect([ofDevice.status, ofDevice.streams.length]).toEqual(['open', 0]);
  });

  test('recognizes that the other side lacks a protocol', async () => {
    const { ofDevice } = await startPair();
    const failure = { name: 'UnsupportedProtocolError' };
    await expect(ofDevice.newStream('/unknown')).rejects.toMatchObject(failure);
    await expect(ofDevice.newStream(['/unknown', '/other'])).rejects.toMatchObject(failure);
    expect(ofDevice.streams).toHaveLength(0);
  });

  test('stops waiting for an answer at its signal, and at the end of the connection', async () => {
    const { ofStock, ofDevice } = await startPair();
    answerWith(ofStock, Buffer.alloc(0));
    const stopping = new AbortController();
    const opening = ofDevice.newStream('/silent', { signal: stopping.signal });
    stopping.abort(new Error('The test stops it.'));
    await expect(opening).rejects.toThrow('The test stops it.');
    const next = ofDevice.newStream('/silent');
    ofStock.abort(new Error('The test ends it.'));
    await expect(next).rejects.toThrow();
  });
});
