// Opens a TCP connection as the lowest layer.
import { connectTcp, type Lookup, type SocketOptions, type TcpTarget } from '../shared/tcp-connect.ts';
import { TcpSocket, type TcpSocketOptions } from './tcp-socket.ts';
import type { WireIo } from './wire-io.ts';

export interface TcpDialOptions extends TcpSocketOptions {
  readonly io: WireIo;
  /** Idle time before the first TCP keepalive probe, in milliseconds. */
  readonly keepAliveDelayMs: number;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Called when the first attempt starts, after the look-up. */
  readonly onStart?: () => void;
}

/**
 * Resolves to the connection, which is paused: set its `sink`, then call `resume`.
 *
 * @throws Error of the only attempt, AggregateError of all attempts, or the reason of the signal
 */
export async function dialTcp(target: TcpTarget, options: TcpDialOptions): Promise<TcpSocket> {
  const { io, keepAliveDelayMs, signal, lookup, onStart } = options;
  let connection: TcpSocket | undefined;
  const socketOptions: SocketOptions = {
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelayMs,
    // Only the attempt that is used is ever read.
    onread: { buffer: io.reads.area, callback: (length) => connection?.onRead(length) ?? false },
  };
  const socket = await connectTcp(target, {
    socket: socketOptions,
    signal,
    lookup,
    ...(onStart === undefined ? {} : { onStart }),
  });
  connection = new TcpSocket(io, socket, options);
  connection.pause();
  return connection;
}
