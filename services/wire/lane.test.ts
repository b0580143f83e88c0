// Lanes between devices whose muxers are ours, with every combination of muxers.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { PipeOptions } from '../../testing/byte-pipe.ts';
import { ACCEPT, Circuit, type CircuitOptions, CONNECT } from '../../testing/circuit.ts';
import { CollectingStream, patternBytes, RecordingOwner } from '../../testing/mux-streams.ts';
import { createRandom } from '../../testing/random.ts';
import { createMplexSession } from './mplex/session.ts';
import type { BaseSession } from './muxer/session.ts';
import { createYamuxSession } from './yamux/session.ts';

const KIB = 1024;
const MUXERS = ['yamux', 'mplex'] as const;
const COMBINATIONS = MUXERS.flatMap((source) => MUXERS.map((target) => ({ source, target })));

const CREATE = { yamux: createYamuxSession, mplex: createMplexSession } as const;

interface Devices {
  readonly circuit: Circuit;
  readonly source: CollectingStream;
  readonly target: CollectingStream;
  readonly sourceSession: BaseSession;
  readonly targetSession: BaseSession;
  readonly targetOwner: RecordingOwner;
}

/** A circuit whose source has sent `early` together with its first message. */
function createDevices(options: CircuitOptions, early = Buffer.alloc(0)): Devices {
  const circuit = new Circuit({ ...options, pipes: { isManual: true, ...options.pipes } });
  const targetOwner = new RecordingOwner((stream) => {
    const target = new CollectingStream(stream);
    targetOwner.streams.push(target);
    stream.write(Buffer.from(ACCEPT), 0, ACCEPT.length);
  });
  const common = { isInitiator: true, maxStreams: 10, nowMs: () => 0 };
  const sourceSession = CREATE[options.source]({
    below: circuit.sourcePipe.b,
    owner: new RecordingOwner(),
    ...common,
  });
  const targetSession = CREATE[options.target]({
    below: circuit.targetPipe.b,
    owner: targetOwner,
    ...common,
  });
  const stream = sourceSession.openStream();
  if (stream === undefined) throw new Error('The device opens no stream.');
  const source = new CollectingStream(stream);
  const first = Buffer.concat([Buffer.from(CONNECT), early]);
  stream.write(first, 0, first.length);
  circuit.run();
  const [target] = targetOwner.streams;
  if (target === undefined || circuit.lane === undefined) throw new Error('The circuit was not joined.');
  return { circuit, source, target, sourceSession, targetSession, targetOwner };
}

/** What the target has received, without the first message. */
const receivedBy = (target: CollectingStream): Buffer => target.bytes.subarray(CONNECT.length);

function randomPipes(seed: number): PipeOptions {
  const random = createRandom(seed);
  return {
    readBytes: () => 1 + Math.floor(random() ** 2 * 300_000),
    pieceBytes: () => 1 + Math.floor(random() ** 4 * 70_000),
    headroomBytes: () => Math.floor(random() * 20),
    blockedAboveBytes: 100_000,
  };
}

describe.each(COMBINATIONS)('from $source to $target', ({ source: sourceMuxer, target: targetMuxer }) => {
  const muxers = { source: sourceMuxer, target: targetMuxer };

  test('bulk data in both directions arrives, half-closes included, whatever the reads', () => {
    for (const seed of [1]) {
      const early = patternBytes(300, 9);
      const { circuit, source, target } = createDevices({ ...muxers, pipes: randomPipes(seed) }, early);
      const [up, down] = [patternBytes(700_000, 1), patternBytes(500_000, 2)];
      const random = createRandom(seed);
      source.writeAll(up, () => Math.floor(random() ** 2 * 200_000));
      target.writeAll(down, () => Math.floor(random() ** 2 * 200_000));
      circuit.run();
      expect(receivedBy(target).equals(Buffer.concat([early, up]))).toBe(true);
      expect(source.bytes.equals(down)).toBe(true);
      expect([source.ends, target.ends, circuit.results]).toEqual([['closed'], ['closed'], ['closed']]);
      expect([circuit.lane?.toTarget.bytes, circuit.lane?.toSource.bytes]).toEqual([700_300, 500_000]);
      expect([circuit.lane?.toTarget.queuedBytes, circuit.waits]).toEqual([0, circuit.drains]);
      expect([circuit.sourceSession.streamCount, circuit.targetSession.streamCount]).toEqual([0, 0]);
    }
  });

  test.each(['source', 'target'] as const)('the %s closes first; the other direction goes on', (first) => {
    const { circuit, source, target } = createDevices(muxers);
    const [early, late] = first === 'source' ? [source, target] : [target, source];
    early.writeAll(Buffer.from('early'), () => 9);
    circuit.run();
    expect([late.hasEnded, circuit.results]).toEqual([true, []]);
    late.writeAll(patternBytes(700_000, 3), () => 50_000);
    circuit.run();
    expect((early === target ? receivedBy(early) : early.bytes).equals(patternBytes(700_000, 3))).toBe(true);
    expect([circuit.results, source.ends, target.ends]).toEqual([['closed'], ['closed'], ['closed']]);
  });

  test('a target that does not read stops the source; little waits in the relay', () => {
    const { circuit, source, target, targetOwner } = createDevices({
      ...muxers,
      pipes: { readBytes: () => 64 * KIB, blockedAboveBytes: 64 * KIB },
    });
    target.stream.pause();
    source.writeAll(patternBytes(900_000, 4), () => 900_000);
    circuit.run();
    const waits = circuit.lane?.toTarget.queuedBytes ?? 0;
    expect(waits).toBeLessThanOrEqual(256 * KIB);
    expect(source.stream.queuedBytes + source.stream.session.below.unsentBytes).toBeGreaterThan(200_000);
    target.stream.resume();
    circuit.run();
    expect(receivedBy(target).equals(patternBytes(900_000, 4))).toBe(true);
    expect([target.hasEnded, targetOwner.closes, circuit.lane?.toTarget.queuedBytes]).toEqual([true, 0, 0]);
  });

  test('a target whose socket is blocked stops the source within the window', () => {
    const { circuit, source, target } = createDevices({
      ...muxers,
      pipes: { readBytes: () => 64 * KIB, blockedAboveBytes: 64 * KIB },
    });
    circuit.targetPipe.b.pause();
    source.writeAll(patternBytes(900_000, 4), () => 900_000);
    circuit.run();
    const { toTarget } = circuit.lane ?? {};
    expect([toTarget?.isBlocked, circuit.results]).toEqual([true, []]);
    expect((toTarget?.queuedBytes ?? 0) + circuit.targetPipe.a.unsentBytes).toBeLessThanOrEqual(512 * KIB);
    circuit.targetPipe.b.resume();
    circuit.run();
    expect(receivedBy(target).equals(patternBytes(900_000, 4))).toBe(true);
    expect([toTarget?.isBlocked, target.hasEnded]).toEqual([false, true]);
  });

  test('a direction that is paused by its owner keeps what arrives, the other one goes on', () => {
    const { circuit, source, target } = createDevices({ ...muxers, pipes: { readBytes: () => 64 * KIB } });
    let counted = 0;
    circuit.onPiece = (direction, bytes) => {
      if (direction !== circuit.lane?.toTarget) return;
      counted += bytes;
      if (counted > 200_000) direction.pause();
    };
    source.writeAll(patternBytes(600_000, 5), () => 30_000);
    target.writeAll(patternBytes(100_000, 6), () => 30_000);
    circuit.run();
    const { lane } = circuit;
    // The piece with which the direction was paused waits.
    expect(receivedBy(target).length).toBeLessThanOrEqual(200_000);
    expect([lane?.toTarget.isBlocked, source.length]).toEqual([true, 100_000]);
    expect(lane?.toTarget.queuedBytes).toBeLessThanOrEqual(256 * KIB);
    circuit.onPiece = undefined;
    lane?.toTarget.resume();
    circuit.run();
    expect(receivedBy(target).equals(patternBytes(600_000, 5))).toBe(true);
    expect(circuit.results).toEqual(['closed']);
  });

  test('an owner that resets the lane while it counts bytes keeps these from being forwarded', () => {
    const { circuit, source, target } = createDevices(muxers);
    circuit.onPiece = () => circuit.lane?.reset();
    source.writeAll(patternBytes(1000, 5), () => 1000);
    circuit.run();
    expect([target.length, source.ends, target.ends, circuit.results]).toEqual([
      CONNECT.length,
      ['reset'],
      ['reset'],
      [],
    ]);
  });

  test('the owner stops a source when memory is short, and lets it go on', () => {
    const { circuit, source, target } = createDevices(muxers);
    circuit.lane?.toTarget.hold();
    source.writeAll(patternBytes(1000, 5), () => 1000);
    circuit.run();
    expect(receivedBy(target)).toHaveLength(0);
    circuit.lane?.toTarget.release();
    circuit.run();
    expect(receivedBy(target)).toHaveLength(1000);
  });

  test.each([
    ['the source resets', (devices: Devices) => devices.source.stream.reset()],
    ['the target resets', (devices: Devices) => devices.target.stream.reset()],
    ['the owner resets', (devices: Devices) => devices.circuit.lane?.reset()],
    ['the source is lost', (devices: Devices) => devices.sourceSession.abort(new Error('The test aborts.'))],
    ['the target is lost', (devices: Devices) => devices.targetSession.abort(new Error('The test aborts.'))],
    ['the source is closed', (devices: Devices) => devices.sourceSession.close()],
  ])('%s: while idle, with waiting data, and after one side has closed', (name, act) => {
    for (const state of ['idle', 'waiting', 'half-closed']) {
      const devices = createDevices({
        ...muxers,
        pipes: { readBytes: () => 64 * KIB, blockedAboveBytes: 64 * KIB },
      });
      const { circuit, source, target } = devices;
      if (state === 'half-closed') target.stream.closeWrite();
      if (state === 'waiting') {
        circuit.lane?.toTarget.pause();
        source.stream.write(patternBytes(500_000, 1), 0, 500_000);
      }
      circuit.run();
      act(devices);
      circuit.run();
      // The end of an mplex source is read when its connection is read again.
      circuit.lane?.toTarget.resume();
      circuit.run();
      expect([source.ends.length, target.ends.length, circuit.lane?.isOver]).toEqual([1, 1, true]);
      expect(circuit.results).toEqual(name === 'the owner resets' ? [] : ['reset']);
      expect([
        circuit.lane?.toTarget.queuedBytes,
        circuit.sourceSession.streamCount,
        circuit.targetSession.streamCount,
      ]).toEqual([0, 0, 0]);
      // A connection that is still open is read, so another circuit works.
      if (!devices.sourceSession.isOpen || !devices.targetSession.isOpen) continue;
      const next = devices.sourceSession.openStream();
      next?.write(Buffer.from(`${CONNECT}again`), 0, CONNECT.length + 5);
      circuit.run();
      expect(devices.targetOwner.streams[1]?.bytes.toString()).toBe(`${CONNECT}again`);
    }
  });
});

type Step = readonly [
  'write' | 'pause' | 'resume' | 'stall' | 'flow' | 'limit' | 'free' | 'close',
  0 | 1,
  number,
];

const anyStep: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom('write', 'write', 'write', 'pause', 'resume', 'stall', 'flow', 'limit', 'free', 'close'),
  fc.constantFrom(0, 1),
  fc.integer({ min: 1, max: 200_000 }),
);

test('whatever the devices and the owner do: every byte arrives once, in order, and then the ends', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...COMBINATIONS),
      fc.array(anyStep, { maxLength: 14 }),
      fc.nat(1000),
      (muxers, steps, seed) => {
        const { circuit, source, target } = createDevices({
          ...muxers,
          pipes: randomPipes(seed),
          windowBytes: 256 * KIB,
        });
        const streams = [source, target] as const;
        const pipes = [circuit.sourcePipe.b, circuit.targetPipe.b] as const;
        const written: [Buffer[], Buffer[]] = [[], []];
        const isClosed = [false, false];
        for (const [step, side, size] of steps) {
          const { stream } = streams[side];
          const direction = side === 0 ? circuit.lane?.toTarget : circuit.lane?.toSource;
          if (step === 'write' && !isClosed[side]) {
            const bytes = patternBytes(size, size);
            written[side].push(bytes);
            stream.write(Buffer.from(bytes), 0, size);
          } else if (step === 'pause') stream.pause();
          else if (step === 'resume') stream.resume();
          else if (step === 'stall') pipes[side].pause();
          else if (step === 'flow') pipes[side].resume();
          else if (step === 'limit') direction?.pause();
          else if (step === 'free') direction?.resume();
          else if (step === 'close') {
            isClosed[side] = true;
            stream.closeWrite();
          }
          if (size % 3 > 0) circuit.run();
        }
        for (const side of [0, 1] as const) {
          pipes[side].resume();
          streams[side].stream.resume();
          streams[side].stream.closeWrite();
        }
        circuit.lane?.toTarget.resume();
        circuit.lane?.toSource.resume();
        circuit.run();
        expect(receivedBy(target).equals(Buffer.concat(written[0]))).toBe(true);
        expect(source.bytes.equals(Buffer.concat(written[1]))).toBe(true);
        expect([source.ends, target.ends, circuit.results]).toEqual([['closed'], ['closed'], ['closed']]);
        expect(circuit.maxQueuedBytes).toBeLessThanOrEqual(600_000);
      },
    ),
    { seed: 16, numRuns: 20 },
  );
});
