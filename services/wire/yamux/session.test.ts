// Sessions of yamux: rates, ids, the first frames of streams, windows and ends.
import { expect, test } from '@jest/globals';
import { CollectingStream, patternBytes, RecordingOwner } from '../../../testing/mux-streams.ts';
import { codeOf, createPeer, frame, many } from '../../../testing/yamux-peer.ts';
import type { WireStream } from '../layers.ts';
import { FLAGS, FRAME_TYPES, HEADER_BYTES } from './codec.ts';

const { data, windowUpdate, ping } = FRAME_TYPES;
const { syn, ack, fin, rst } = FLAGS;
const KIB = 1024;
const openFrame = frame(windowUpdate, syn, 1, 0);

test('the rates are those of a second: a client may do as much in each', () => {
  let nowMs = 0;
  const peer = createPeer({ nowMs: () => nowMs });
  for (let second = 0; second < 5; second += 1) {
    nowMs += 1000;
    peer.send(
      ...many(9000, (index) => frame(ping, syn, 0, index)),
      ...many(900, (index) => frame(windowUpdate, syn | rst, (second * 900 + index) * 2 + 1, 0)),
    );
  }
  expect(peer.owner.closes).toBe(0);
});

test('one window update is allowed for each frame of data that was sent', () => {
  const peer = createPeer({ nowMs: () => 0 });
  peer.send(openFrame);
  const stream = peer.owner.streams[0]?.stream;
  for (let round = 0; round < 30; round += 1) {
    for (let index = 0; index < 1000; index += 1) stream?.write(Buffer.alloc(9), 0, 9);
    peer.send(...many(1000, () => frame(windowUpdate, 0, 1, 9)));
  }
  expect([peer.owner.closes, stream?.queuedBytes]).toEqual([0, 0]);
});

test('late frames for streams that have ended are ignored, and their payload is skipped', () => {
  const peer = createPeer();
  peer.send(openFrame);
  peer.owner.streams[0]?.stream.reset();
  peer.send(
    ...many(16, () => frame(data, 0, 1, Buffer.alloc(16 * KIB, 1))),
    frame(windowUpdate, 0, 1, 100),
    frame(data, fin, 1, 0),
    frame(data, syn, 3, Buffer.from('next')),
  );
  expect([peer.owner.closes, peer.owner.streams[1]?.bytes.toString()]).toEqual([0, 'next']);
});

test('streams above the maximum are reset; others go on', () => {
  const peer = createPeer({ maxStreams: 2 });
  peer.send(...many(3, (index) => frame(data, syn, 2 * index + 1, Buffer.from('hello'))));
  expect([peer.owner.streams.map(({ bytes }) => bytes.toString()), peer.answers()]).toEqual([
    ['hello', 'hello'],
    frame(windowUpdate, rst, 5, 0),
  ]);
});

test('ids may be used in another order than they were assigned in', () => {
  const peer = createPeer();
  peer.send(...[5, 1, 7, 3].map((id) => frame(windowUpdate, syn, id, 0)));
  expect(peer.owner.streams.map(({ stream }) => stream.id)).toEqual([5, 1, 7, 3]);
  peer.send(frame(windowUpdate, syn, 3, 0));
  expect(codeOf(peer.owner.error)).toBe('stream_id_reused');
});

test('the first frame of a stream opens or accepts it; a ping is answered; a stream never announced is not reset', async () => {
  const peer = createPeer();
  peer.session.openStream()?.write(Buffer.from('a'), 0, 1);
  peer.session.openStream()?.reset();
  peer.session.openStream();
  await Promise.resolve();
  peer.send(openFrame, frame(ping, syn, 0, 77));
  peer.owner.streams[0]?.stream.write(Buffer.from('b'), 0, 1);
  expect(peer.answers()).toEqual(
    Buffer.concat([
      frame(data, syn, 2, Buffer.from('a')),
      frame(windowUpdate, syn, 6, 0),
      frame(ping, ack, 0, 77),
      frame(data, ack, 1, Buffer.from('b')),
    ]),
  );
});

test('no more than 256 streams wait for the first answer', () => {
  const peer = createPeer({ maxStreams: 1000 });
  const opened = many(300, () => Buffer.alloc(0)).filter(() => peer.session.openStream() !== undefined);
  expect(opened).toHaveLength(256);
  peer.send(frame(windowUpdate, ack, 2, 0));
  expect([peer.session.openStream()?.id, peer.session.openStream()]).toEqual([514, undefined]);
});

test('the window grows while a reader uses it up within a few round trips, up to the maximum', () => {
  let nowMs = 0;
  const peer = createPeer({ nowMs: () => nowMs, maxWindowBytes: 700 * KIB });
  nowMs = 50;
  peer.send(frame(ping, ack, 0, 0), openFrame);
  peer.answers();
  let credit = 256 * KIB;
  for (let round = 0; round < 8; round += 1) {
    nowMs += 100;
    const before = peer.answers().length;
    const count = Math.floor(credit / (8 * KIB));
    peer.send(...many(count, () => frame(data, 0, 1, Buffer.alloc(8 * KIB))));
    credit -= count * 8 * KIB;
    const updates = peer.answers().subarray(before);
    for (let at = 0; at < updates.length; at += HEADER_BYTES) credit += updates.readUInt32BE(at + 8);
  }
  expect([peer.session.roundTripMs, peer.owner.closes]).toEqual([50, 0]);
  expect(credit).toBeGreaterThan(350 * KIB);
  expect(credit).toBeLessThanOrEqual(700 * KIB);
});

test('data that was complete before the connection was lost reaches a paused reader', () => {
  const peer = createPeer();
  peer.send(openFrame, frame(windowUpdate, syn, 3, 0));
  for (const { stream } of peer.owner.streams) stream.pause();
  peer.send(frame(data, fin, 1, Buffer.from('complete')), frame(data, 0, 3, Buffer.from('not complete')));
  peer.end.abort(new Error('The test aborts.'));
  peer.send();
  expect(peer.owner.streams.map((stream) => [stream.bytes.toString(), stream.hasEnded, stream.ends])).toEqual(
    [
      ['complete', true, ['connection']],
      ['', false, ['connection']],
    ],
  );
});

test('data waits for a sink, within the window', () => {
  const streams: WireStream[] = [];
  const peer = createPeer({}, new RecordingOwner((stream) => streams.push(stream)));
  peer.send(
    ...many(256, (index) => frame(data, index === 0 ? syn : 0, 1, patternBytes(KIB, index))),
    frame(data, fin, 1, 0),
  );
  const [stream] = streams as [WireStream];
  expect([stream.waitingBytes, stream.isRemoteEnded]).toEqual([256 * KIB, true]);
  const sink = new CollectingStream(stream);
  expect(sink.bytes.equals(Buffer.concat(many(256, (index) => patternBytes(KIB, index))))).toBe(true);
  expect([sink.hasEnded, stream.waitingBytes]).toEqual([true, 0]);
});

test('queued data is sent in frames of the maximum size, and tiny frames of the other side arrive whole after a pause', () => {
  const peer = createPeer();
  peer.send(openFrame);
  const [received] = peer.owner.streams as [CollectingStream];
  received.stream.write(Buffer.alloc(400_000), 0, 400_000);
  const before = peer.answers().length;
  peer.send(frame(windowUpdate, 0, 1, 400_000));
  const sent = peer.answers().subarray(before);
  const lengths: number[] = [];
  for (let at = 0; at < sent.length; at += HEADER_BYTES + sent.readUInt32BE(at + 8))
    lengths.push(sent.readUInt32BE(at + 8));
  expect(lengths).toEqual([65_507, 65_507, 400_000 - 256 * KIB - 2 * 65_507]);
  received.stream.pause();
  for (let round = 0; round < 100; round += 1)
    peer.send(...many(500, () => frame(data, 0, 1, Buffer.alloc(1, 5))));
  expect(received.stream.waitingBytes).toBe(50_000);
  received.stream.resume();
  expect(received.bytes.equals(Buffer.alloc(50_000, 5))).toBe(true);
});
