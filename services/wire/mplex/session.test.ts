// Sessions of mplex against messages that no stock implementation sends: each violation ends the connection with its
// reason.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createBytePipe, type PipeEnd, type PipeOptions } from '../../../testing/byte-pipe.ts';
import { CollectingSink } from '../../../testing/collecting-sink.ts';
import { CollectingStream, patternBytes, RecordingOwner } from '../../../testing/mux-streams.ts';
import { codeOf, many } from '../../../testing/yamux-peer.ts';
import type { WireStream } from '../layers.ts';
import type { MuxOptions } from '../muxer/session.ts';
import { MuxerError } from '../muxer/violations.ts';
import { TYPES, writeHeader } from './codec.ts';
import { createMplexSession, type MplexSession } from './session.ts';

const {
  newStream,
  messageInitiator,
  messageReceiver,
  closeInitiator,
  closeReceiver,
  resetInitiator,
  resetReceiver,
} = TYPES;
const KIB = 1024;

/** A message; `content` is its payload, or the length that it announces. */
function message(type: number, id: number, content: number | string | Buffer = 0): Buffer {
  const payload = typeof content === 'number' ? Buffer.alloc(0) : Buffer.from(content);
  const header = Buffer.alloc(20);
  const end = writeHeader(header, 0, type, id, typeof content === 'number' ? content : payload.length);
  return Buffer.concat([header.subarray(0, end), payload]);
}

interface Peer {
  readonly session: MplexSession;
  readonly owner: RecordingOwner;
  readonly end: PipeEnd;
  readonly received: CollectingSink;
  send(...messages: Buffer[]): void;
}

function createPeer(
  options: Partial<MuxOptions> = {},
  owner = new RecordingOwner(),
  pipeOptions: PipeOptions = {},
): Peer {
  const pipe = createBytePipe({ isManual: true, ...pipeOptions });
  const received = new CollectingSink();
  pipe.b.sink = received;
  const session = createMplexSession({
    below: pipe.a,
    owner,
    isInitiator: false,
    maxStreams: 10,
    ...options,
  });
  const send = (...messages: Buffer[]): void => {
    const bytes = Buffer.concat(messages);
    pipe.b.write(bytes, 0, bytes.length);
    pipe.run();
  };
  return { session, owner, end: pipe.b, received, send };
}

const openMessage = message(newStream, 0, '0');

describe('a connection is ended with the reason', () => {
  test.each<[string, Buffer[], string]>([
    ['an unknown type', [message(7, 0)], 'invalid_frame'],
    ['a number that does not end', [Buffer.alloc(9, 0xff)], 'invalid_frame'],
    ['a length that does not end', [Buffer.alloc(1, 1), Buffer.alloc(9, 0xff)], 'invalid_frame'],
    [
      'a message above the maximum',
      [openMessage, message(messageInitiator, 0, KIB * KIB + 1)],
      'frame_too_large',
    ],
    ['a name above the maximum', [message(newStream, 0, 1025)], 'frame_too_large'],
    ['a new stream with the id of an open one', [openMessage, openMessage], 'stream_id_reused'],
    [
      'an id of a stream that was reset',
      [openMessage, message(resetInitiator, 0), openMessage],
      'stream_id_reused',
    ],
    [
      'data after the end',
      [openMessage, message(closeInitiator, 0), message(messageInitiator, 0, 'x')],
      'data_after_end',
    ],
    [
      'streams that are opened and reset',
      many(600, (id) => Buffer.concat([message(newStream, id), message(resetInitiator, id)])),
      'too_many_new_streams',
    ],
    ['streams above the maximum', many(600, (id) => message(newStream, id, 'x')), 'too_many_new_streams'],
    [
      'messages without payload',
      [openMessage, ...many(25_000, () => message(messageInitiator, 0))],
      'too_many_empty_frames',
    ],
    [
      'closes with a payload',
      [openMessage, ...many(25_000, () => message(closeInitiator, 0, 'x'))],
      'too_many_empty_frames',
    ],
    [
      'resets of unknown streams',
      many(25_000, (id) => message(resetInitiator, id + 9)),
      'too_many_empty_frames',
    ],
  ])('%s', (_name, messages, code) => {
    const peer = createPeer({ nowMs: () => 0 });
    peer.send(...messages);
    expect([codeOf(peer.owner.error), peer.owner.closes, peer.session.streamCount]).toEqual([code, 1, 0]);
    expect([peer.received.closes, peer.session.openStream()]).toEqual([1, undefined]);
  });
});

test('late messages to streams that have ended are ignored, and streams above the maximum are reset', () => {
  const peer = createPeer({ maxStreams: 1 });
  peer.send(openMessage, message(messageInitiator, 0, 'hello'));
  const [stream] = peer.owner.streams;
  peer.send(message(newStream, 1, '1'));
  expect(peer.received.bytes).toEqual(message(resetReceiver, 1));
  stream?.stream.reset();
  peer.send(
    ...many(20_000, () => message(messageInitiator, 0, 'late')),
    message(messageReceiver, 5, 'x'),
    message(closeReceiver, 5),
    message(newStream, 2, '2'),
    message(messageInitiator, 2, 'next'),
  );
  expect([peer.owner.closes, stream?.bytes.toString(), peer.owner.streams[1]?.bytes.toString()]).toEqual([
    0,
    'hello',
    'next',
  ]);
});

test('both sides assign the same ids; names and the payload of other messages are ignored', () => {
  const peer = createPeer();
  const own = new CollectingStream(peer.session.openStream() as WireStream);
  peer.send(message(newStream, 0, 'any name'), message(messageInitiator, 0, 'to the receiver'));
  peer.send(message(messageReceiver, 0, 'to the initiator'), message(closeReceiver, 0, 'payload'));
  own.stream.closeWrite();
  expect([own.bytes.toString(), own.hasEnded, own.ends]).toEqual(['to the initiator', true, ['closed']]);
  expect([peer.owner.streams[0]?.bytes.toString(), peer.owner.streams[0]?.ends]).toEqual([
    'to the receiver',
    [],
  ]);
});

test('several paused streams hold the connection, each until it is resumed or has ended', () => {
  const peer = createPeer({}, undefined, { readBytes: () => 40 });
  peer.send(openMessage, message(newStream, 1, '1'));
  const [first, second] = peer.owner.streams as [CollectingStream, CollectingStream];
  first.stream.pause();
  second.stream.pause();
  peer.send(message(messageInitiator, 0, 'aaa'), message(messageInitiator, 1, 'bbb'), Buffer.alloc(0));
  peer.send(message(messageInitiator, 1, Buffer.alloc(200, 1)));
  expect([first.stream.waitingBytes, second.stream.waitingBytes]).toEqual([3, 3]);
  first.stream.resume();
  peer.send(message(messageInitiator, 0, 'ccc'));
  expect([first.bytes.toString(), second.stream.waitingBytes]).toEqual(['aaa', 3]);
  second.stream.reset();
  peer.send();
  expect(first.bytes.toString()).toBe('aaaccc');
});

test('a stream without a sink gets up to one read, and then stops the reading', () => {
  const streams: WireStream[] = [];
  const owner = new RecordingOwner((stream) => streams.push(stream));
  const peer = createPeer({}, owner, { readBytes: () => 64 * KIB });
  const bytes = patternBytes(900 * KIB, 4);
  peer.send(openMessage, message(messageInitiator, 0, bytes));
  const [stream] = streams as [WireStream];
  expect(stream.waitingBytes).toBeGreaterThan(256 * KIB);
  expect(stream.waitingBytes).toBeLessThanOrEqual(320 * KIB);
  const sink = new CollectingStream(stream);
  peer.send();
  expect(sink.bytes.equals(bytes)).toBe(true);
});

const anyMessage = fc
  .tuple(fc.nat(7), fc.nat(4), fc.nat(200), fc.boolean())
  .map(([type, id, length, isWhole]) => message(type, id, isWhole ? Buffer.alloc(length, 7) : length));
const anyBytes = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

function outcome(messages: Buffer[], size: number): unknown[] {
  const peer = createPeer({ nowMs: () => 0, maxStreams: 3 }, undefined, {
    readBytes: () => size,
    pieceBytes: () => Math.ceil(size / 2),
    headroomBytes: () => size % 5,
  });
  peer.send(openMessage, ...messages);
  const { error } = peer.owner;
  expect(error === undefined || error instanceof MuxerError).toBe(true);
  return [
    codeOf(error),
    peer.owner.streams.map(({ stream, length, hasEnded, ends }) => [stream.id, length, hasEnded, ends]),
  ];
}

test('whatever arrives, in whatever pieces: the same events, no exception, and an end with a reason', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 9, arbitrary: anyMessage }, anyBytes), { maxLength: 12 }),
      fc.integer({ min: 1, max: 40 }),
      (messages, size) => {
        const whole = JSON.stringify(outcome(messages, 1_000_000));
        expect(JSON.stringify(outcome(messages, size))).toBe(whole);
      },
    ),
    { seed: 16, numRuns: 400 },
  );
});
