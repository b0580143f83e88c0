// The frames of yamux that a lane sends: joined data, and the credit of senders. The devices send raw frames.
import { describe, expect, test } from '@jest/globals';
import { ACCEPT, Circuit, CONNECT } from '../../testing/circuit.ts';
import { CollectingSink } from '../../testing/collecting-sink.ts';
import { patternBytes } from '../../testing/mux-streams.ts';
import { frame, many } from '../../testing/yamux-peer.ts';
import { FLAGS, FRAME_TYPES, HEADER_BYTES } from './yamux/codec.ts';

const { data, windowUpdate, ping } = FRAME_TYPES;
const { syn, ack, fin } = FLAGS;
const KIB = 1024;
const SOURCE_ID = 1;
const TARGET_ID = 2;

interface Frame {
  readonly type: number;
  readonly id: number;
  readonly length: number;
  readonly payload: Buffer;
}

function parse(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const [type, length] = [bytes[at + 1] ?? 0, bytes.readUInt32BE(at + 8)];
    const end = at + HEADER_BYTES + (type === data ? length : 0);
    frames.push({
      type,
      id: bytes.readUInt32BE(at + 4),
      length,
      payload: bytes.subarray(at + HEADER_BYTES, end),
    });
    at = end;
  }
  return frames;
}

/** A circuit between devices that send raw frames, whose source has the given round trip. */
function createFrames(roundTripMs = 0) {
  let nowMs = 0;
  const circuit = new Circuit({
    source: 'yamux',
    target: 'yamux',
    pipes: { isManual: true },
    nowMs: () => nowMs,
  });
  const sinks = { source: new CollectingSink(), target: new CollectingSink() };
  circuit.sourcePipe.b.sink = sinks.source;
  circuit.targetPipe.b.sink = sinks.target;
  const send = (side: 'source' | 'target', ...frames: Buffer[]): void => {
    const bytes = Buffer.concat(frames);
    circuit[`${side}Pipe`].b.write(bytes, 0, bytes.length);
    circuit.run();
  };
  const positions = { source: 0, target: 0 };
  /** The frames that a device has received since the last call. */
  const received = (side: 'source' | 'target'): Frame[] => {
    const bytes = sinks[side].bytes.subarray(positions[side]);
    positions[side] += bytes.length;
    return parse(bytes);
  };
  send('target');
  send('target', frame(ping, ack, 0, 0));
  nowMs = roundTripMs;
  send('source', frame(ping, ack, 0, 0), frame(data, syn, SOURCE_ID, Buffer.from(CONNECT)));
  send('target', frame(data, ack, TARGET_ID, Buffer.from(ACCEPT)));
  received('source');
  received('target');
  return { circuit, send, received };
}

const fill = (bytes: number): Buffer[] =>
  many(Math.ceil(bytes / (16 * KIB)), (index) =>
    frame(data, 0, SOURCE_ID, Buffer.alloc(Math.min(16 * KIB, bytes - index * 16 * KIB), index)),
  );
/** What the source may send at the start. */
const FIRST_CREDIT = 256 * KIB - CONNECT.length;

describe('frames', () => {
  test('the frames of one read become one, up to the size of a Noise message', () => {
    const { send, received } = createFrames();
    const bytes = patternBytes(150_000, 1);
    send(
      'source',
      ...many(15, (index) => frame(data, 0, SOURCE_ID, bytes.subarray(index * 10_000, (index + 1) * 10_000))),
    );
    const frames = received('target');
    expect(frames.map(({ length }) => length)).toEqual([60_000, 60_000, 30_000]);
    expect(Buffer.concat(frames.map(({ payload }) => payload)).equals(bytes)).toBe(true);
  });

  test('data is passed on before the end, and before frames of other streams', () => {
    const { circuit, send, received } = createFrames();
    send(
      'source',
      frame(data, 0, SOURCE_ID, Buffer.from('a')),
      frame(data, 0, SOURCE_ID, Buffer.from('b')),
      frame(data, syn, 3, Buffer.from(CONNECT)),
      frame(data, fin, SOURCE_ID, Buffer.from('c')),
    );
    expect(
      received('target').map(({ type, id, length, payload }) => [type, id, length, payload.toString()]),
    ).toEqual([
      [data, TARGET_ID, 2, 'ab'],
      [data, 4, CONNECT.length, CONNECT],
      [data, TARGET_ID, 1, 'c'],
      [windowUpdate, TARGET_ID, 0, ''],
    ]);
    expect(circuit.lane?.toTarget.isEnded).toBe(true);
  });
});

describe('credit', () => {
  test('a short exchange needs no window update', () => {
    const { send, received } = createFrames();
    send('source', ...fill(60 * KIB));
    expect([received('source'), received('target')].map((frames) => frames.map(({ type }) => type))).toEqual([
      [],
      [data],
    ]);
  });

  test('a nearby source gets what its target grants, at once', () => {
    const { circuit, send, received } = createFrames();
    send('source', ...fill(FIRST_CREDIT));
    expect([received('source'), circuit.lane?.toTarget.queuedBytes]).toEqual([[], 0]);
    received('target');
    // The window of the target was large enough for the first message too.
    for (const granted of [128 * KIB, 100 * KIB, 5 * 1024 * KIB]) {
      send('target', frame(windowUpdate, 0, TARGET_ID, granted));
      const updates = received('source').map(({ type, length }) => [type, length]);
      expect(updates).toEqual([[windowUpdate, Math.min(granted, 1024 * KIB)]]);
      send('source', ...fill(Math.min(granted, 1024 * KIB)));
      if (granted > 1024 * KIB) continue;
      expect(received('source')).toEqual([]);
    }
  });

  test('a source gets more before its credit is used up', () => {
    const { send, received } = createFrames();
    send('target', frame(windowUpdate, 0, TARGET_ID, 1024 * KIB));
    send('source', ...fill(160 * KIB));
    const updates = received('source');
    expect(updates).toHaveLength(1);
    expect(updates[0]?.length).toBeGreaterThan(768 * KIB);
  });

  test('a target that grants a few bytes at a time gets them', () => {
    const { send, received } = createFrames();
    send('source', ...fill(FIRST_CREDIT));
    for (let round = 0; round < 3; round += 1) {
      send('target', frame(windowUpdate, 0, TARGET_ID, 1000));
      expect(received('source').map(({ length }) => length)).toEqual([1000]);
      send('source', ...fill(1000));
    }
  });

  test('a distant source gets a window of its own, and not more', () => {
    const { circuit, send, received } = createFrames(50);
    const grantedTo = (): number =>
      received('source')
        .filter(({ type }) => type === windowUpdate)
        .reduce((sum, { length }) => sum + length, 0);
    send('source', ...fill(FIRST_CREDIT));
    let total = 0;
    for (let granted = grantedTo(); granted > 0; granted = grantedTo()) {
      total += granted;
      send('source', ...fill(granted));
    }
    const { toTarget } = circuit.lane ?? {};
    expect(total).toBeGreaterThan(896 * KIB);
    expect(toTarget?.maxQueuedBytes).toBeLessThanOrEqual(1024 * KIB);
    send('target', frame(windowUpdate, 0, TARGET_ID, 600 * KIB));
    expect(grantedTo()).toBeGreaterThan(512 * KIB);
  });

  test('a source that exceeds its credit loses its connection, and the target is reset', () => {
    const { circuit, send } = createFrames();
    send('source', ...fill(FIRST_CREDIT), frame(data, 0, SOURCE_ID, Buffer.alloc(1)));
    expect([circuit.results, circuit.sourceSession.isOpen, circuit.targetSession.streamCount]).toEqual([
      ['reset'],
      false,
      0,
    ]);
  });
});
