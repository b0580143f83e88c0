// A session of our yamux whose other side sends raw frames.
import { MuxerError } from '../services/wire/muxer/violations.ts';
import { HEADER_BYTES, writeHeader } from '../services/wire/yamux/codec.ts';
import { createYamuxSession, type YamuxOptions, type YamuxSession } from '../services/wire/yamux/session.ts';
import { createBytePipe, type PipeEnd, type PipeOptions } from './byte-pipe.ts';
import { CollectingSink } from './collecting-sink.ts';
import { RecordingOwner } from './mux-streams.ts';

/** A frame; of data, if `content` is a buffer. */
export function frame(type: number, flags: number, id: number, content: number | Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  writeHeader(header, 0, type, flags, id, typeof content === 'number' ? content : content.length);
  return typeof content === 'number' ? header : Buffer.concat([header, content]);
}

export interface YamuxPeer {
  readonly session: YamuxSession;
  readonly owner: RecordingOwner;
  readonly end: PipeEnd;
  readonly received: CollectingSink;
  send(...frames: Buffer[]): void;
  /** What the session has sent, without its first ping. */
  answers(): Buffer;
}

/** A session that accepts streams, on a connection whose other side sends raw frames. */
export function createPeer(
  options: Partial<YamuxOptions> = {},
  owner = new RecordingOwner(),
  pipeOptions: PipeOptions = {},
): YamuxPeer {
  const pipe = createBytePipe({ isManual: true, ...pipeOptions });
  const received = new CollectingSink();
  pipe.b.sink = received;
  const session = createYamuxSession({
    below: pipe.a,
    owner,
    isInitiator: false,
    maxStreams: 10,
    ...options,
  });
  return {
    session,
    owner,
    end: pipe.b,
    received,
    send(...frames) {
      const bytes = Buffer.concat(frames);
      pipe.b.write(bytes, 0, bytes.length);
      pipe.run();
    },
    answers() {
      pipe.run();
      return received.bytes.subarray(HEADER_BYTES);
    },
  };
}

/** The reason for which a connection was ended. */
export const codeOf = (error: Error | undefined): string | undefined =>
  error instanceof MuxerError ? error.code : error?.message;

export const many = (count: number, make: (index: number) => Buffer): Buffer[] =>
  Array.from({ length: count }, (_, index) => make(index));
