// Connections of js-libp2p as the hop protocol of the relay sees them, for hop tests on nodes of the library.
import type { Socket } from 'node:net';
import type { Connection, MultiaddrConnection, PeerId, Stream } from '@libp2p/interface';
import { CODE_P2P_CIRCUIT } from '@multiformats/multiaddr';
import { clientNetwork } from '../../services/shared/client-network.ts';
import { toError } from '../../services/shared/errors.ts';
import type { LoopClock } from '../../services/shared/loop-clock.ts';
import { NOBODY, type PeerIdentity, type RelayConnection } from '../../services/relay/connection.ts';
import { Libp2pStream } from './stream.ts';

/** The library's type lacks the status of reading and the socket. */
type Transport = MultiaddrConnection & { readonly readStatus?: string; readonly socket?: Socket };

export class Libp2pConnection implements RelayConnection {
  readonly address: string;
  readonly network: string;
  readonly isRelayed: boolean;
  readonly socket: Socket | undefined;
  /** Maximum bytes that a paused stream still receives. */
  readonly windowBytes: number;
  peer: PeerIdentity = NOBODY;
  heardAtMs: number;
  reads = 0;
  unansweredReads: number | undefined;
  drains = 0;
  readonly #transport: Transport;
  #connection: Connection | undefined;
  #readCallbacks: Array<() => void> = [];
  #closeCallbacks: Array<() => void> = [];

  constructor(transport: MultiaddrConnection, windowBytes: number, clock: Pick<LoopClock, 'nowMs'>) {
    this.#transport = transport;
    this.windowBytes = windowBytes;
    const components = transport.remoteAddr.getComponents();
    this.address = transport.remoteAddr.toString();
    this.network = clientNetwork(components[0]?.value ?? '');
    this.isRelayed = components.some(({ code }) => code === CODE_P2P_CIRCUIT);
    this.socket = this.#transport.socket;
    this.heardAtMs = clock.nowMs();
    transport.addEventListener('close', () => this.#onClose());
  }

  /** The handshake is finished. The first listener of bytes would take those of the handshake, so it is added here. */
  authenticate(peer: PeerId, clock: Pick<LoopClock, 'nowMs'>): void {
    this.peer = { id: peer.toString(), multihash: peer.toMultihash().bytes };
    this.heardAtMs = clock.nowMs();
    this.#transport.addEventListener('message', () => {
      this.heardAtMs = clock.nowMs();
      this.reads += 1;
      if (this.#readCallbacks.length === 0) return;
      for (const callback of this.#readCallbacks.splice(0)) callback();
    });
    this.#transport.addEventListener('drain', () => (this.drains += 1));
  }

  /** The connection of the upper layer. */
  attach(connection: Connection): void {
    this.#connection = connection;
  }

  get muxer(): string {
    return this.#connection?.multiplexer ?? '';
  }

  get isOpen(): boolean {
    return this.#transport.status === 'open' && (this.#connection?.status ?? 'open') === 'open';
  }

  get isReadPaused(): boolean {
    return this.#transport.readStatus === 'paused';
  }

  get hasUnsentBytes(): boolean {
    return this.#transport.writableNeedsDrain;
  }

  hasStreamsExcept(protocols: ReadonlySet<string>): boolean {
    return this.#connection?.streams.some(({ protocol }) => !protocols.has(protocol)) ?? false;
  }

  openStream(protocol: string, maxOutboundStreams: number): Libp2pStream {
    const controller = new AbortController();
    const { signal } = controller;
    const stream = this.#open(protocol, { maxOutboundStreams, signal, runOnLimitedConnection: true });
    return new Libp2pStream(this, stream, controller);
  }

  async #open(...options: Parameters<Connection['newStream']>): Promise<Stream> {
    if (this.#connection === undefined) throw new Error('The connection is not open yet.');
    return this.#connection.newStream(...options);
  }

  onNextRead(callback: () => void): () => void {
    this.#readCallbacks.push(callback);
    return () => void (this.#readCallbacks = this.#readCallbacks.filter((each) => each !== callback));
  }

  onceClosed(callback: () => void): () => void {
    this.#closeCallbacks.push(callback);
    return () => void (this.#closeCallbacks = this.#closeCallbacks.filter((each) => each !== callback));
  }

  #onClose(): void {
    for (const callback of this.#closeCallbacks.splice(0)) callback();
  }

  close(): void {
    const connection = this.#connection ?? this.#transport;
    connection.close().catch((error: unknown) => connection.abort(toError(error)));
  }

  abort(error: Error): void {
    (this.#connection ?? this.#transport).abort(error);
  }
}

/**
 * The relay's connection for each connection of the library. Those of its lower and of its upper layer share the object
 * `timeline`.
 */
export interface Libp2pConnections {
  of(connection: Pick<MultiaddrConnection | Connection, 'timeline'>): Libp2pConnection | undefined;
  add(transport: MultiaddrConnection): Libp2pConnection;
  /** That of a connection whose handshake was not seen, such as one of another node. */
  ofOpen(connection: Connection): Libp2pConnection;
}

/** @param windowBytes maximum bytes that a paused stream still receives */
export function createLibp2pConnections(
  windowBytes: number,
  clock: Pick<LoopClock, 'nowMs'>,
): Libp2pConnections {
  const connections = new WeakMap<object, Libp2pConnection>();

  function add(transport: MultiaddrConnection): Libp2pConnection {
    const connection = new Libp2pConnection(transport, windowBytes, clock);
    connections.set(transport.timeline, connection);
    return connection;
  }

  return {
    of: ({ timeline }) => connections.get(timeline),
    add,
    ofOpen(open) {
      const known = connections.get(open.timeline);
      // An upper connection has the members of a lower one that are needed, except the bytes.
      const connection = known ?? add(open as unknown as MultiaddrConnection);
      if (known === undefined) connection.authenticate(open.remotePeer, clock);
      connection.attach(open);
      return connection;
    },
  };
}
