// The endpoints with each other, over a pipe in memory that delivers bytes in pieces of any size.
import { describe, expect, test } from '@jest/globals';
import { type MuxerName, secure } from './connection.ts';
import { createIdentity } from './identity.ts';
import { accept, select } from './multistream.ts';
import type { MuxStream } from './mux.ts';
import { NO_RECEIVER, type Pipe, PipeReader } from './pipe.ts';

const KEY = Buffer.alloc(32, 7);

/** Two ends. What one writes arrives at the other later, in pieces of this size. */
function connectPipes(pieceBytes: number): [Pipe, Pipe] {
  const create = (other: () => Pipe): Pipe => ({
    receiver: NO_RECEIVER,
    isBlocked: false,
    write(first, second) {
      const bytes = Buffer.concat([first, second ?? Buffer.alloc(0)]);
      for (let start = 0; start < bytes.length; start += pieceBytes) {
        const piece = bytes.subarray(start, start + pieceBytes);
        setImmediate(() => other().receiver.onBytes(piece));
      }
    },
    end: () => void setImmediate(() => other().receiver.onEnd()),
    destroy() {},
  });
  const ends: [Pipe, Pipe] = [create(() => ends[1]), create(() => ends[0])];
  return ends;
}

async function connect(muxer: MuxerName, pieceBytes: number, onStream: (stream: MuxStream) => void) {
  const [a, b] = connectPipes(pieceBytes);
  const endpoint = () => ({ identity: createIdentity(), key: KEY, muxer });
  const [ours, theirs] = await Promise.all([
    secure(a, { endpoint: endpoint(), role: 'initiator', depth: 0, onStream }),
    secure(b, { endpoint: endpoint(), role: 'responder', depth: 0, onStream }),
  ]);
  return { ours, theirs };
}

/** Answers with what arrives. */
async function echo(stream: MuxStream): Promise<void> {
  const reader = new PipeReader(stream);
  await accept(reader, (name) => name === '/echo');
  reader.handOver({ ...NO_RECEIVER, onBytes: (bytes) => stream.write(bytes), onEnd: () => stream.end() });
}

describe.each(['yamux', 'mplex'] as const)('an endpoint with %s', (muxer) => {
  test.each([1, 13, 100_000])('exchanges bytes in pieces of %d', async (pieceBytes) => {
    const { ours } = await connect(muxer, pieceBytes, (stream) => void echo(stream));
    const sent = Buffer.from(
      Array.from({ length: pieceBytes === 1 ? 5_000 : 700_000 }, (_, index) => index % 251),
    );
    const stream = ours.session.openStream();
    const reader = await select(stream, '/echo');
    const received: Buffer[] = [];
    const ended = new Promise<void>((resolve) => {
      reader.handOver({
        ...NO_RECEIVER,
        onBytes: (bytes) => void received.push(Buffer.from(bytes)),
        onEnd: resolve,
      });
    });
    for (let start = 0; start < sent.length; start += 30_000)
      stream.write(sent.subarray(start, start + 30_000));
    stream.end();
    await ended;
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });
});

test('an endpoint refuses a protocol that it does not have', async () => {
  const { theirs } = await connect('yamux', 1_000, (stream) => void echo(stream).catch(() => {}));
  await expect(select(theirs.session.openStream(), '/other')).rejects.toThrow(
    'answered "na" to the protocol /other',
  );
});
