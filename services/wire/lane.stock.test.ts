// Lanes between stock devices, which end their connection when their window is exceeded.
import { afterEach, expect, test } from '@jest/globals';
import { ACCEPT, Circuit, CONNECT } from '../../testing/circuit.ts';
import { patternBytes } from '../../testing/mux-streams.ts';
import { createRandom } from '../../testing/random.ts';
import {
  createStockMuxer,
  StockReader,
  type StockStream,
  stopStockMuxers,
  writeAll,
} from '../../testing/stock-muxer.ts';
import { until } from '../../testing/wait.ts';

afterEach(stopStockMuxers);

const WINDOW = { maxWindowBytes: 256 * 1024 };
const MUXERS = ['yamux', 'mplex'] as const;

test.each(MUXERS.flatMap((source) => MUXERS.map((target) => ({ source, target }))))(
  'stock devices with $source and $target send bulk data in both directions through slow readers',
  async (muxers) => {
    const random = createRandom(4);
    const circuit = new Circuit({
      ...muxers,
      pipes: {
        readBytes: () => 1 + Math.floor(random() ** 2 * 300_000),
        pieceBytes: () => 1 + Math.floor(random() * 70_000),
        headroomBytes: () => Math.floor(random() * 20),
        blockedAboveBytes: 100_000,
      },
    });
    const accepted: StockStream[] = [];
    const onTarget = (stream: StockStream): void => {
      accepted.push(stream);
      stream.send(Buffer.from(ACCEPT));
    };
    createStockMuxer(muxers.target, circuit.targetPipe.b, 'outbound', onTarget, WINDOW);
    const device = createStockMuxer(muxers.source, circuit.sourcePipe.b, 'outbound', () => {}, WINDOW);
    const source = await device.createStream();
    source.send(Buffer.from(CONNECT));
    await until(() => circuit.lane !== undefined, 'the circuit was joined');
    const [target] = accepted as [StockStream];
    const readers = { source: new StockReader(source), target: new StockReader(target) };
    const [up, down] = [patternBytes(900_000, 1), patternBytes(600_000, 2)];
    const devices = [
      { stream: source, reader: readers.source, muxer: muxers.source },
      { stream: target, reader: readers.target, muxer: muxers.target },
    ];
    // A stock stream that is paused when it closes loses what waits. So those of mplex are not paused, and those of
    // yamux not while all the rest fits into the window.
    for (const { stream, reader } of devices.filter(({ muxer }) => muxer === 'yamux')) {
      stream.addEventListener('message', () => {
        if (stream.readStatus !== 'readable' || reader.length > 250_000 || random() > 0.3) return;
        stream.pause();
        setImmediate(() => stream.resume());
      });
    }
    await Promise.all([
      writeAll(source, up, () => Math.floor(random() * 100_000)),
      writeAll(target, down, () => Math.floor(random() * 100_000)),
    ]);
    await until(() => circuit.results.length === 1, 'the lane has ended');
    await until(() => readers.source.hasEnded && readers.target.hasEnded, 'both ends have arrived');
    expect(readers.target.bytes.subarray(CONNECT.length).equals(up)).toBe(true);
    expect(readers.source.bytes.equals(down)).toBe(true);
    expect([circuit.results, circuit.lane?.toTarget.bytes, circuit.lane?.toSource.bytes]).toEqual([
      ['closed'],
      900_000,
      600_000,
    ]);
    expect([circuit.sourceSession.isOpen, circuit.targetSession.isOpen]).toEqual([true, true]);
  },
);
