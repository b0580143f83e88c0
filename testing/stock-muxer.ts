// The stock muxers of js-libp2p on one end of a pipe in memory, to test ours against them.
import type { Stream, StreamMuxer } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { yamux } from '@libp2p/yamux';
import type { PipeEnd } from './byte-pipe.ts';
import { createPipeConnection } from './pipe-connection.ts';

export type StockStream = Stream;
export type StockSession = StreamMuxer;

const MIB = 1024 * 1024;

export type MuxerName = 'yamux' | 'mplex';

export interface StockOptions {
  /** Maximum of the receive window of yamux, in bytes. Default 1 MiB. */
  readonly maxWindowBytes?: number;
}

const started: StreamMuxer[] = [];

/** Ends all stock muxers, whose timers would keep the test process alive. */
export function stopStockMuxers(): void {
  for (const muxer of started.splice(0)) muxer.abort(new Error('The test has ended.'));
}

/** Starts a muxer on an end of a pipe. `onStream` gets the streams that the other side opens. */
export function createStockMuxer(
  name: MuxerName,
  end: PipeEnd,
  direction: 'inbound' | 'outbound',
  onStream: (stream: Stream) => void,
  { maxWindowBytes = MIB }: StockOptions = {},
): StreamMuxer {
  const connection = createPipeConnection(end, direction);
  const streamOptions = { maxReadBufferLength: 64 * MIB, maxStreamWindowSize: maxWindowBytes };
  const factory =
    name === 'yamux'
      ? yamux({ streamOptions, keepAliveInterval: 60 * 60 * 1000 })()
      : mplex({ maxUnprocessedMessageQueueSize: 64 * MIB, disconnectThreshold: 1_000_000 })();
  const muxer = factory.createStreamMuxer(connection);
  muxer.addEventListener('stream', (event: CustomEvent<Stream>) => onStream(event.detail));
  started.push(muxer);
  return muxer;
}

/** Collects what arrives on a stock stream. */
export class StockReader {
  readonly chunks: Buffer[] = [];
  length = 0;
  hasEnded = false;
  end: 'closed' | 'error' | undefined = undefined;

  constructor(stream: Stream) {
    stream.addEventListener('message', ({ data }) => {
      const bytes = Buffer.from(data.subarray());
      this.chunks.push(bytes);
      this.length += bytes.length;
    });
    stream.addEventListener('remoteCloseWrite', () => (this.hasEnded = true));
    stream.addEventListener('close', ({ error }) => (this.end = error === undefined ? 'closed' : 'error'));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Writes all bytes as fast as the stream accepts them, in pieces of the given sizes, then closes its direction. */
export async function writeAll(stream: Stream, bytes: Buffer, pieceBytes: () => number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + Math.max(1, pieceBytes()));
    if (!stream.send(bytes.subarray(at, to))) await stream.onDrain();
    at = to;
  }
  await stream.close();
}
