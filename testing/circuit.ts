// A circuit for tests of lanes: two devices, each with a connection to a relay that joins a stream of both. The devices'
// ends of the pipes are free, for sessions of ours, of the stock implementation, or for raw frames.
import { joinStreams, type Lane, type LaneHooks, type LaneResult } from '../services/wire/lane.ts';
import type { LaneDirection } from '../services/wire/lane-direction.ts';
import type { StreamEnd, StreamSink, WireStream } from '../services/wire/layers.ts';
import { createMplexSession } from '../services/wire/mplex/session.ts';
import type { BaseSession } from '../services/wire/muxer/session.ts';
import { createYamuxSession } from '../services/wire/yamux/session.ts';
import { type BytePipe, createBytePipe, type PipeOptions } from './byte-pipe.ts';
import type { MuxerName } from './stock-muxer.ts';

/** The first message of the source; all other bytes belong to the circuit. The relay sends it to the target too. */
export const CONNECT = 'CONNECT';

/** The answer of the target; the relay does not forward it. */
export const ACCEPT = 'ACCEPT';

export interface CircuitOptions {
  readonly source: MuxerName;
  readonly target: MuxerName;
  readonly pipes?: PipeOptions;
  readonly windowBytes?: number;
  readonly nowMs?: () => number;
}

/** The relay of the circuit. */
export class Circuit implements LaneHooks {
  readonly sourcePipe: BytePipe;
  readonly targetPipe: BytePipe;
  readonly sourceSession: BaseSession;
  readonly targetSession: BaseSession;
  lane: Lane | undefined;
  results: LaneResult[] = [];
  waits = 0;
  drains = 0;
  /** The most bytes that ever waited in a direction. */
  maxQueuedBytes = 0;
  /** Called with the bytes of each direction before they are forwarded. */
  onPiece: ((direction: LaneDirection, bytes: number) => void) | undefined;
  readonly #options: CircuitOptions;

  constructor(options: CircuitOptions) {
    this.#options = options;
    this.sourcePipe = createBytePipe(options.pipes);
    this.targetPipe = createBytePipe(options.pipes);
    this.sourceSession = this.#createSession(options.source, this.sourcePipe, (stream) =>
      this.#onSource(stream),
    );
    this.targetSession = this.#createSession(options.target, this.targetPipe, () => {});
  }

  /** Moves the bytes of pipes that are moved by hand, until all is quiet. */
  run(): void {
    for (let isBusy = true; isBusy;) {
      const hasMoved = this.sourcePipe.run();
      isBusy = this.targetPipe.run() || hasMoved;
    }
  }

  onBytes(direction: LaneDirection, bytes: number): void {
    this.maxQueuedBytes = Math.max(this.maxQueuedBytes, direction.queuedBytes);
    this.onPiece?.(direction, bytes);
  }

  onWaiting(): void {
    this.waits += 1;
  }

  onDrained(): void {
    this.drains += 1;
  }

  onEnd(result: LaneResult): void {
    this.results.push(result);
  }

  #createSession(muxer: MuxerName, pipe: BytePipe, onStream: (stream: WireStream) => void): BaseSession {
    const create = muxer === 'yamux' ? createYamuxSession : createMplexSession;
    return create({
      below: pipe.a,
      owner: { onStream, onClose: () => {} },
      isInitiator: false,
      maxStreams: 10,
      nowMs: this.#options.nowMs ?? (() => 0),
    });
  }

  #onSource(source: WireStream): void {
    source.sink = new MessageSink(CONNECT.length, (earlyOfSource) => {
      source.pause();
      const target = this.targetSession.openStream();
      if (target === undefined) throw new Error('The relay opens no stream to the target.');
      target.sink = new MessageSink(ACCEPT.length, (earlyOfTarget) => {
        const { windowBytes = 1024 * 1024 } = this.#options;
        this.lane = joinStreams(source, target, this, { windowBytes, earlyOfSource, earlyOfTarget });
      });
      target.write(Buffer.from(CONNECT), 0, CONNECT.length);
    });
  }
}

/** Reads one message, and passes on what came with it. */
class MessageSink implements StreamSink {
  #bytes = Buffer.alloc(0);
  readonly #length: number;
  readonly #onMessage: (rest: Buffer) => void;

  constructor(length: number, onMessage: (rest: Buffer) => void) {
    this.#length = length;
    this.#onMessage = onMessage;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(start, end)]);
    if (this.#bytes.length >= this.#length) this.#onMessage(this.#bytes.subarray(this.#length));
  }

  onRemoteEnd(): void {}
  onWritable(): void {}
  onClose(_end: StreamEnd): void {}
}
