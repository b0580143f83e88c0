// Sessions of yamux against frames that no client sends: each violation ends the connection with its reason.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { CollectingStream, RecordingOwner } from '../../../testing/mux-streams.ts';
import { codeOf, createPeer, frame, many } from '../../../testing/yamux-peer.ts';
import type { WireStream } from '../layers.ts';
import { MuxerError } from '../muxer/violations.ts';
import { FLAGS, FRAME_TYPES, HEADER_BYTES } from './codec.ts';

const { data, windowUpdate, ping, goAway } = FRAME_TYPES;
const { syn, ack, fin, rst } = FLAGS;
const KIB = 1024;
const openFrame = frame(windowUpdate, syn, 1, 0);

describe('a connection is ended with the reason', () => {
  test.each<[string, Buffer[], string]>([
    ['another version', [Buffer.alloc(HEADER_BYTES, 1)], 'invalid_frame'],
    ['an unknown type', [frame(4, 0, 1, 0)], 'invalid_frame'],
    ['a ping that is neither question nor answer', [frame(ping, 0, 0, 1)], 'invalid_frame'],
    ['a ping for a stream', [frame(ping, syn, 1, 1)], 'invalid_frame'],
    ['data without a stream', [frame(data, 0, 0, Buffer.alloc(1))], 'invalid_stream_id'],
    ['a new stream with an id of our side', [frame(windowUpdate, syn, 2, 0)], 'invalid_stream_id'],
    ['a new stream with the id of an open one', [openFrame, openFrame], 'stream_id_reused'],
    ['an id of a stream that was reset', [openFrame, frame(data, rst, 1, 0), openFrame], 'stream_id_reused'],
    ['an id far below others', [frame(windowUpdate, syn, 9001, 0), openFrame], 'stream_id_reused'],
    [
      'more data than the window',
      [frame(data, syn, 1, Buffer.alloc(256 * KIB)), frame(data, 0, 1, Buffer.alloc(1))],
      'window_exceeded',
    ],
    ['a frame above the window, before its payload', [frame(data, syn, 1, 256 * KIB + 1)], 'window_exceeded'],
    [
      'a frame above every window for a stream that was reset',
      [openFrame, frame(data, rst, 1, 0), frame(data, 0, 1, 1024 * KIB + 1)],
      'window_exceeded',
    ],
    ['a window above 32 bits', [openFrame, frame(windowUpdate, 0, 1, 0xffff_ffff)], 'window_overflow'],
    [
      'data after the end',
      [frame(data, syn | fin, 1, Buffer.alloc(9)), frame(data, 0, 1, Buffer.alloc(1))],
      'data_after_end',
    ],
    ['a GoAway with an error', [frame(goAway, 0, 0, 1)], 'went_away'],
    [
      'streams that are opened and reset',
      many(3000, (index) =>
        Buffer.concat([
          frame(windowUpdate, syn, 2 * index + 1, 0),
          frame(windowUpdate, rst, 2 * index + 1, 0),
        ]),
      ),
      'too_many_new_streams',
    ],
    [
      'streams that are opened above the maximum',
      many(3000, (index) => frame(windowUpdate, syn, 2 * index + 1, 0)),
      'too_many_new_streams',
    ],
    [
      'streams that are opened and reset by one frame',
      many(3000, (index) => frame(windowUpdate, syn | rst, 2 * index + 1, 0)),
      'too_many_new_streams',
    ],
    [
      'streams that leave out thousands of ids each',
      many(3000, (index) => frame(windowUpdate, syn, 4096 * index + 1, 0)),
      'too_many_new_streams',
    ],
    ['pings', many(25_000, (index) => frame(ping, syn, 0, index)), 'too_many_empty_frames'],
    ['answers to no ping', many(25_000, (index) => frame(ping, ack, 0, index)), 'too_many_empty_frames'],
    [
      'window updates',
      [openFrame, ...many(25_000, () => frame(windowUpdate, 0, 1, 1))],
      'too_many_empty_frames',
    ],
    ['data without bytes', [openFrame, ...many(25_000, () => frame(data, 0, 1, 0))], 'too_many_empty_frames'],
    [
      'resets of unknown streams',
      many(25_000, (index) => frame(data, rst, index + 1, 0)),
      'too_many_empty_frames',
    ],
  ])('%s', (_name, frames, code) => {
    const peer = createPeer(
      { nowMs: () => 0 },
      new RecordingOwner((stream) => (stream.sink = new CollectingStream(stream))),
    );
    // A window that is not read: the sink is set, but the stream is paused.
    if (code === 'window_exceeded') peer.owner.onStream = (stream: WireStream) => stream.pause();
    peer.send(...frames);
    expect([codeOf(peer.owner.error), peer.owner.closes, peer.session.streamCount]).toEqual([code, 1, 0]);
    expect([peer.received.closes, peer.session.openStream()]).toEqual([1, undefined]);
  });

  test('pings whose answers are not read', () => {
    const peer = createPeer({ nowMs: () => 0 }, undefined, { blockedAboveBytes: 1000 });
    peer.end.pause();
    for (let round = 0; round < 40; round += 1)
      peer.send(...many(100, (index) => frame(ping, syn, 0, index)));
    expect(codeOf(peer.owner.error)).toBe('unread_responses');
  });
});

const anyFrame = fc
  .tuple(
    fc.integer({ min: 0, max: 4 }),
    fc.integer({ min: 0, max: 15 }),
    fc.integer({ min: 0, max: 9 }),
    fc.nat(300),
  )
  .map(([type, flags, id, length]) =>
    frame(type, flags, id, type === data ? Buffer.alloc(length, 7) : length),
  );
const anyBytes = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));

function outcome(frames: Buffer[], size: number): unknown[] {
  const peer = createPeer({ nowMs: () => 0, maxStreams: 3 }, undefined, {
    readBytes: () => size,
    pieceBytes: () => Math.ceil(size / 2),
    headroomBytes: () => size % 14,
  });
  peer.send(...frames);
  const { error } = peer.owner;
  expect(error === undefined || error instanceof MuxerError).toBe(true);
  return [
    codeOf(error),
    peer.owner.streams.map(({ stream, length, hasEnded, ends }) => [
      stream.id,
      error ?? length,
      hasEnded,
      ends,
    ]),
  ];
}

test('whatever arrives, in whatever pieces: the same events, no exception, and an end with a reason', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 9, arbitrary: anyFrame }, anyBytes), { maxLength: 12 }),
      fc.integer({ min: 1, max: 40 }),
      (frames, size) => {
        const whole = JSON.stringify(outcome(frames, 1_000_000));
        expect(JSON.stringify(outcome(frames, size))).toBe(whole);
      },
    ),
    { seed: 16, numRuns: 400 },
  );
});
