// `node e2e/interop/js/faults.ts`: reproduces two defects of stock js-libp2p from `docs/interop.md` without any code of this
// project. Prints one line for each.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import type { AbstractStream } from '@libp2p/utils';
import { createLibp2p } from 'libp2p';
import { Uint8ArrayList } from 'uint8arraylist';
import { until } from '../../../testing/wait.ts';

const PROTOCOL = '/faults/1.0.0';

/** Time after which an iteration counts as endless, in milliseconds. */
const WAIT_MS = 2_000;

async function startNode(muxer: () => StreamMuxerFactory): Promise<Libp2p> {
  return createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [muxer],
    connectionMonitor: { enabled: false },
  });
}

/** Both ends of a stream. */
async function openStream(
  muxer: () => StreamMuxerFactory,
): Promise<{ ours: Stream; theirs: Stream; other: Libp2p }> {
  const [node, other] = await Promise.all([startNode(muxer), startNode(muxer)]);
  const accepted = Promise.withResolvers<Stream>();
  await other.handle(PROTOCOL, (stream) => accepted.resolve(stream));
  const ours = await node.dialProtocol(other.getMultiaddrs(), PROTOCOL);
  return { ours, theirs: await accepted.promise, other };
}

async function iterateAfterTheEnd(): Promise<string> {
  const { ours, theirs } = await openStream(yamux());
  ours.send(Buffer.from('a request'));
  await ours.close();
  await until(() => theirs.remoteWriteStatus === 'closed', 'the write side of the other end is closed');
  let bytes = 0;
  const iterate = async (): Promise<string> => {
    for await (const chunk of theirs) bytes += chunk.byteLength;
    return 'ends';
  };
  const timeout = Promise.withResolvers<string>();
  setTimeout(() => timeout.resolve(`has not ended after ${WAIT_MS} ms`), WAIT_MS);
  const outcome = await Promise.race([iterate(), timeout.promise]);
  return `iteration over a stream whose writer has closed: ${outcome}, after ${bytes} bytes`;
}

async function lateMessages(): Promise<string> {
  const { ours, theirs, other } = await openStream(mplex());
  for (let sent = 0; sent < 20; sent += 1)
    (ours as AbstractStream).sendData(new Uint8ArrayList(Buffer.alloc(16)));
  theirs.abort(new Error('The stream is reset by the test.'));
  await until(() => ours.status !== 'open', 'the writer has received the reset');
  const [connection] = other.getConnections();
  const outcome = await connection?.newStream(PROTOCOL).then(
    () => 'carries streams',
    (error: Error) => `carries no streams ("${error.message}")`,
  );
  return `mplex connection after the reset of a stream with 20 messages in flight: ${outcome}`;
}

process.stdout.write(`${await iterateAfterTheEnd()}\n${await lateMessages()}\n`);
process.exit();
