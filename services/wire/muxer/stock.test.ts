// Our muxers against the stock implementations, in both roles, with reads of any size.
import { afterEach, describe, expect, test } from '@jest/globals';
import { createBytePipe, type PipeOptions } from '../../../testing/byte-pipe.ts';
import { CollectingStream, patternBytes, RecordingOwner } from '../../../testing/mux-streams.ts';
import { createRandom } from '../../../testing/random.ts';
import {
  createStockMuxer,
  type MuxerName,
  StockReader,
  type StockSession,
  type StockStream,
  stopStockMuxers,
  writeAll,
} from '../../../testing/stock-muxer.ts';
import { until } from '../../../testing/wait.ts';
import type { WireStream } from '../layers.ts';
import { createMplexSession } from '../mplex/session.ts';
import { createYamuxSession } from '../yamux/session.ts';
import type { BaseSession } from './session.ts';

const MIB = 1024 * 1024;

afterEach(stopStockMuxers);

interface Pair {
  readonly ours: BaseSession;
  readonly owner: RecordingOwner;
  readonly stock: StockSession;
  readonly stockStreams: StockStream[];
}

function createPair(muxer: MuxerName, isInitiator: boolean, pipeOptions: PipeOptions = {}): Pair {
  const pipe = createBytePipe(pipeOptions);
  const owner = new RecordingOwner();
  const stockStreams: StockStream[] = [];
  const stock = createStockMuxer(muxer, pipe.b, isInitiator ? 'inbound' : 'outbound', (stream) =>
    stockStreams.push(stream),
  );
  const create = muxer === 'yamux' ? createYamuxSession : createMplexSession;
  const ours = create({ below: pipe.a, owner, isInitiator, maxStreams: 100 });
  return { ours, owner, stock, stockStreams };
}

function open(session: BaseSession): WireStream {
  const stream = session.openStream();
  if (stream === undefined) throw new Error('The session opens no stream.');
  return stream;
}

/** A stream on both sides, opened by ours or by the stock one. */
async function createStreams(pair: Pair, isOurs: boolean): Promise<[CollectingStream, StockStream]> {
  if (isOurs) {
    const ours = new CollectingStream(open(pair.ours));
    await until(() => pair.stockStreams.length === 1, 'the stock muxer has the stream');
    return [ours, pair.stockStreams[0] as StockStream];
  }
  const stock = await pair.stock.createStream();
  await until(() => pair.owner.streams.length === 1, 'our session has the stream');
  return [pair.owner.streams[0] as CollectingStream, stock];
}

const CHUNKINGS: ReadonlyArray<{ name: string; options: PipeOptions }> = [
  { name: 'whole reads', options: {} },
  {
    name: 'random reads and pieces, no headroom',
    options: ((random) => ({
      readBytes: () => 1 + Math.floor(random() * 200_000),
      pieceBytes: () => 1 + Math.floor(random() ** 4 * 70_000),
      headroomBytes: () => Math.floor(random() * 20),
      blockedAboveBytes: 100_000,
    }))(createRandom(7)),
  },
];

const MUXERS = ['yamux', 'mplex'] as const;
const ROLES = MUXERS.flatMap((muxer) =>
  CHUNKINGS.flatMap(({ name, options }) =>
    [true, false].flatMap((isInitiator) =>
      [true, false].map((isOurs) => ({ muxer, name, options, isInitiator, isOurs })),
    ),
  ),
);

test.each(ROLES)(
  'bulk data of $muxer arrives in both directions, then both ends close ($name, initiator: $isInitiator, opens: $isOurs)',
  async ({ muxer, options, isInitiator, isOurs }) => {
    const [ours, stock] = await createStreams(createPair(muxer, isInitiator, options), isOurs);
    const reader = new StockReader(stock);
    const [up, down] = [patternBytes(700_000, 1), patternBytes(600_000, 2)];
    const random = createRandom(3);
    ours.writeAll(up, () => Math.floor(random() * 300_000));
    await writeAll(stock, down, () => Math.floor(random() * 100_000));
    await until(() => ours.ends.length > 0 && reader.end !== undefined, 'both ends have closed');
    expect(ours.bytes.equals(down)).toBe(true);
    expect(reader.bytes.equals(up)).toBe(true);
    expect([ours.ends, reader.end, ours.stream.session.streamCount]).toEqual([['closed'], 'closed', 0]);
  },
);

describe.each(MUXERS)('%s', (muxer) => {
  test('reads of one byte are enough', async () => {
    const pair = createPair(muxer, true, { readBytes: () => 1, headroomBytes: () => 0 });
    const [ours, stock] = await createStreams(pair, true);
    const reader = new StockReader(stock);
    ours.writeAll(patternBytes(500, 1), () => 200);
    await writeAll(stock, patternBytes(500, 2), () => 200);
    await until(() => ours.ends.length > 0 && reader.end !== undefined, 'both ends have closed');
    expect(ours.bytes.equals(patternBytes(500, 2))).toBe(true);
    expect(reader.bytes.equals(patternBytes(500, 1))).toBe(true);
  });

  test('resets pass in both directions, and the session goes on', async () => {
    const pair = createPair(muxer, true);
    const [ours, stock] = await createStreams(pair, true);
    const reader = new StockReader(stock);
    ours.stream.write(Buffer.from('x'), 0, 1);
    ours.stream.reset();
    await until(() => reader.end === 'error', 'the stock stream was reset');
    expect(ours.ends).toEqual(['reset']);
    const other = await pair.stock.createStream();
    await until(() => pair.owner.streams.length === 1, 'the stream has arrived');
    other.abort(new Error('The test aborts.'));
    await until(() => pair.owner.streams[0]?.ends.length === 1, 'our stream was reset');
    expect([pair.owner.streams[0]?.ends, pair.ours.isOpen, pair.ours.streamCount]).toEqual([
      ['reset'],
      true,
      0,
    ]);
  });

  test('200 streams at once each get their own data', async () => {
    const pair = createPair(muxer, true, CHUNKINGS[1]?.options);
    const streams = Array.from({ length: 100 }, () => new CollectingStream(open(pair.ours)));
    expect(pair.ours.openStream()).toBeUndefined();
    streams.forEach((stream, index) => stream.writeAll(patternBytes(5000, index), () => 999));
    await until(() => pair.stockStreams.length === 100, 'all streams have arrived');
    for (const stream of pair.stockStreams)
      stream.addEventListener('message', ({ data }) => stream.send(data.subarray()));
    await until(() => streams.every(({ length }) => length === 5000), 'all data has come back');
    for (const stream of pair.stockStreams) await stream.close();
    await until(() => streams.every(({ ends }) => ends.length === 1), 'all streams have closed');
    expect(streams.every((stream, index) => stream.bytes.equals(patternBytes(5000, index)))).toBe(true);
  });

  test('closing our session ends the streams of the stock one in order', async () => {
    const pair = createPair(muxer, true);
    const [ours, stock] = await createStreams(pair, true);
    const reader = new StockReader(stock);
    ours.stream.write(Buffer.from('last'), 0, 4);
    pair.ours.close();
    await until(() => pair.owner.closes === 1 && reader.end !== undefined, 'both have ended');
    expect([ours.ends, reader.bytes.toString(), pair.owner.error]).toEqual([
      ['connection'],
      'last',
      undefined,
    ]);
    expect([pair.ours.openStream(), pair.ours.isOpen]).toEqual([undefined, false]);
  });
});

test('a paused stream of yamux gets its window and no more, and all data after it resumes', async () => {
  const [ours, stock] = await createStreams(createPair('yamux', false), false);
  const data = patternBytes(MIB, 5);
  ours.stream.pause();
  const written = writeAll(stock, data, () => 50_000);
  await until(() => ours.stream.waitingBytes === 256 * 1024, 'the window is full');
  expect(ours.length).toBe(0);
  ours.onPiece = () => {
    if (ours.chunks.length % 3 !== 0) return;
    ours.stream.pause();
    setImmediate(() => ours.stream.resume());
  };
  ours.stream.resume();
  await written;
  await until(() => ours.hasEnded, 'all data has arrived');
  expect(ours.bytes.equals(data)).toBe(true);
});

test('a stock stream of yamux that is paused stops our writer, which is told once when it may go on', async () => {
  const [ours, stock] = await createStreams(createPair('yamux', true), true);
  const reader = new StockReader(stock);
  stock.pause();
  const data = patternBytes(MIB, 6);
  expect(ours.stream.write(data, 0, data.length)).toBe(false);
  await until(() => stock.readBufferLength === 256 * 1024, 'the window is full');
  expect([ours.stream.queuedBytes, ours.writables]).toEqual([MIB - 256 * 1024, 0]);
  stock.resume();
  await until(() => reader.length === MIB, 'all data has arrived');
  expect([ours.writables, ours.stream.queuedBytes, reader.bytes.equals(data)]).toEqual([1, 0, true]);
});

test('a direction that is closed while data waits for the window closes after it', async () => {
  const [ours, stock] = await createStreams(createPair('yamux', true), true);
  const reader = new StockReader(stock);
  stock.pause();
  ours.stream.write(patternBytes(MIB, 6), 0, MIB);
  ours.stream.closeWrite();
  ours.stream.write(Buffer.alloc(5), 0, 5);
  stock.resume();
  await until(() => reader.hasEnded, 'the end has arrived');
  expect([reader.length, ours.stream.isOpen]).toEqual([MIB, true]);
  await writeAll(stock, Buffer.from('late'), () => 10);
  await until(() => ours.ends.length > 0, 'the stream has closed');
  expect([ours.bytes.toString(), ours.ends]).toEqual(['late', ['closed']]);
});

test('after the stock session of yamux was closed, open streams can be finished, and then the connection closes', async () => {
  const pair = createPair('yamux', true);
  const [ours, stock] = await createStreams(pair, true);
  const reader = new StockReader(stock);
  await pair.stock.close();
  await until(() => ours.hasEnded && !pair.ours.isOpen, 'the other side goes away');
  expect([pair.ours.openStream(), pair.owner.closes]).toEqual([undefined, 0]);
  ours.writeAll(Buffer.from('last'), () => 4);
  await until(() => pair.owner.closes === 1, 'the session has ended');
  expect([ours.ends, reader.bytes.toString(), pair.owner.error]).toEqual([['closed'], 'last', undefined]);
});

test('a paused stream of mplex stops the reading of its connection, and gets all data after it resumes', async () => {
  const pair = createPair('mplex', false, { readBytes: () => 100_000, blockedAboveBytes: 200_000 });
  const [ours, stock] = await createStreams(pair, false);
  const data = patternBytes(MIB, 5);
  ours.stream.pause();
  const written = writeAll(stock, data, () => 50_000);
  await until(() => stock.writableNeedsDrain, 'the other side waits');
  expect(ours.length).toBe(0);
  expect(ours.stream.waitingBytes).toBeLessThanOrEqual(100_000);
  ours.onPiece = () => {
    ours.stream.pause();
    setImmediate(() => ours.stream.resume());
  };
  ours.stream.resume();
  await written;
  await until(() => ours.hasEnded, 'all data has arrived');
  expect(ours.bytes.equals(data)).toBe(true);
});
