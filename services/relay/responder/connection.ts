// A connection to the relay, from its acceptance on: its socket, its muxer and its streams.
import type { Socket } from 'node:net';
import { clientNetwork } from '../../shared/client-network.ts';
import type { LoopClock } from '../../shared/loop-clock.ts';
import type { MuxSession, SessionOwner, WireStream } from '../../wire/layers.ts';
import { MuxerError, type MuxerViolation } from '../../wire/muxer/violations.ts';
import type { SocketObserver, TcpSocket } from '../../wire/tcp-socket.ts';
import { NOBODY, type PeerIdentity, type RelayConnection } from '../connection.ts';
import { type Callbacks, NO_CALLBACKS, withCallback, withoutCallback } from './callbacks.ts';
import type { Dispatcher } from './dispatcher.ts';
import { WireRelayStream } from './stream.ts';

/** What all connections of a relay share. */
export interface ConnectionContext {
  readonly clock: Pick<LoopClock, 'nowMs'>;
  readonly dispatcher: Dispatcher;
  /** Maximum bytes that a paused stream still receives. */
  readonly windowBytes: number;
  /** The muxer of a connection has closed it because of what its peer sent. */
  onViolation(reason: MuxerViolation, connection: RelayConnection): void;
}

/** Shared by all connections that never had a stream. Nobody adds to it. */
const NO_STREAMS: WireRelayStream[] = [];

/** A class, because a relay has thousands of them: plain fields, and no closures. */
export class WireConnection implements RelayConnection, SessionOwner, SocketObserver {
  readonly network: string;
  readonly isRelayed = false;
  peer: PeerIdentity = NOBODY;
  muxer = '';
  heardAtMs: number;
  unansweredReads: number | undefined;
  readonly tcp: TcpSocket;
  readonly #context: ConnectionContext;
  #session: MuxSession | undefined;
  /** In any order; each knows its place. */
  #streams: WireRelayStream[] = NO_STREAMS;
  #readCallbacks: Callbacks = NO_CALLBACKS;
  #closeCallbacks: Callbacks = NO_CALLBACKS;
  #isClosed = false;

  constructor(tcp: TcpSocket, context: ConnectionContext) {
    this.tcp = tcp;
    this.#context = context;
    this.network = clientNetwork(tcp.remoteAddress);
    this.heardAtMs = context.clock.nowMs();
    tcp.observer = this;
  }

  /** The handshake is finished. The session passes its streams to this connection. */
  start(peer: PeerIdentity, session: MuxSession): void {
    this.peer = peer;
    this.muxer = session.protocol;
    this.#session = session;
  }

  get address(): string {
    const { remoteAddress, remotePort } = this.tcp;
    return `/${remoteAddress.includes(':') ? 'ip6' : 'ip4'}/${remoteAddress}/tcp/${remotePort}`;
  }

  get windowBytes(): number {
    return this.#context.windowBytes;
  }

  get reads(): number {
    return this.tcp.reads;
  }

  get drains(): number {
    return this.tcp.lateWrites;
  }

  get isOpen(): boolean {
    return this.tcp.isOpen && (this.#session?.isOpen ?? true);
  }

  get isReadPaused(): boolean {
    return this.tcp.isPaused;
  }

  get hasUnsentBytes(): boolean {
    return this.tcp.isBlocked;
  }

  get socket(): Socket {
    return this.tcp.socket;
  }

  /** Streams of a protocol that one side has opened. */
  countStreams(protocol: string, isInbound: boolean): number {
    let count = 0;
    for (const stream of this.#streams)
      if (stream.protocol === protocol && stream.wire.isInbound === isInbound) count += 1;
    return count;
  }

  hasStreamsExcept(protocols: ReadonlySet<string>): boolean {
    for (const { protocol } of this.#streams) if (!protocols.has(protocol)) return true;
    return false;
  }

  openStream(protocol: string, maxStreams: number): WireRelayStream {
    const isFull = this.countStreams(protocol, false) >= maxStreams;
    const wire = isFull ? undefined : this.#session?.openStream();
    if (wire === undefined) throw new Error(`The connection cannot open another stream of ${protocol}.`);
    const stream = this.#add(wire);
    this.#context.dispatcher.propose(stream, protocol);
    wire.sink = stream;
    return stream;
  }

  onStream(wire: WireStream): void {
    const stream = this.#add(wire);
    this.#context.dispatcher.accept(stream);
    wire.sink = stream;
  }

  #add(wire: WireStream): WireRelayStream {
    const stream = new WireRelayStream(this, wire);
    stream.index = this.#streams.length;
    // A list of one stream without space for more, because most connections have no other one.
    if (stream.index === 0) this.#streams = [stream];
    else this.#streams.push(stream);
    return stream;
  }

  /** A stream has ended. */
  forget(stream: WireRelayStream): void {
    this.#remove(stream);
    this.#context.dispatcher.forget(stream);
  }

  #remove(stream: WireRelayStream): void {
    const last = this.#streams.pop();
    if (last === undefined || last === stream) return;
    last.index = stream.index;
    this.#streams[stream.index] = last;
  }

  onNextRead(callback: () => void): () => void {
    this.#readCallbacks = withCallback(this.#readCallbacks, callback);
    return () => void (this.#readCallbacks = withoutCallback(this.#readCallbacks, callback));
  }

  onceClosed(callback: () => void): () => void {
    this.#closeCallbacks = withCallback(this.#closeCallbacks, callback);
    return () => void (this.#closeCallbacks = withoutCallback(this.#closeCallbacks, callback));
  }

  close(): void {
    if (this.#session === undefined) this.tcp.end();
    else this.#session.close();
  }

  abort(error: Error): void {
    if (this.#session === undefined) this.tcp.abort(error);
    else this.#session.abort(error);
  }

  onSocketRead(): void {
    this.heardAtMs = this.#context.clock.nowMs();
    if (this.#readCallbacks.length === 0) return;
    const callbacks = this.#readCallbacks;
    this.#readCallbacks = NO_CALLBACKS;
    for (const callback of callbacks) callback();
  }

  onSocketClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const callbacks = this.#closeCallbacks;
    this.#closeCallbacks = NO_CALLBACKS;
    for (const callback of callbacks) callback();
  }

  /** The session has ended; its socket closes with it. */
  onClose(error: Error | undefined): void {
    if (error instanceof MuxerError) this.#context.onViolation(error.code, this);
    this.#session = undefined;
  }
}
