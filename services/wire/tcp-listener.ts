// Accepts TCP connections. Node permits `onread` only for sockets that a program creates itself. So each accepted socket is
// taken apart: its handle moves to a new socket, and the old one is destroyed, without which the server would count it for
// ever. `_handle` is no public member, so a test at the start decides (`accept-test.ts`).
import { createServer, type Server, Socket, type SocketConstructorOpts } from 'node:net';
import type { ListenAddress } from '../shared/variables.ts';
import { errorCode, toError } from '../shared/errors.ts';
import { TcpSocket, type TcpSocketOptions } from './tcp-socket.ts';
import type { WireIo } from './wire-io.ts';

/** Maximum connections that wait to be accepted, for thousands of devices that reconnect within one second. */
const LISTEN_BACKLOG = 4096;

/**
 * How accepted sockets are read. `onread`: into the read buffer of the process. `data`: into a new buffer for each read,
 * with a copy.
 */
export type AcceptPath = 'onread' | 'data';

export interface TcpListenerOptions extends TcpSocketOptions {
  readonly io: WireIo;
  readonly path: AcceptPath;
  /** Idle time before the first TCP keepalive probe, in milliseconds. Default: none is sent until the owner of the socket sets it. */
  readonly keepAliveDelayMs?: number;
  /** Receives each connection, and sets its `sink`. */
  readonly onConnection: (socket: TcpSocket) => void;
  /** A connection could not be accepted; the listener goes on. */
  readonly onError?: (error: Error) => void;
}

export interface TcpListener {
  /** Resolves when the address is listened on. @throws Error with the code of the system, such as EADDRINUSE */
  listen(address: ListenAddress): Promise<void>;
  /** The address with the port that was chosen; `undefined` before `listen` and after `close`. */
  address(): ListenAddress | undefined;
  /** Accepts no more connections. Those that are open stay open. */
  close(): void;
}

/** The member of accepted sockets that is not public. */
const HANDLE = '_handle';

export function createTcpListener(options: TcpListenerOptions): TcpListener {
  const { path, keepAliveDelayMs, onConnection } = options;
  const server = createServer(
    {
      pauseOnConnect: path === 'onread',
      // The layers decide what a half-closed connection is: at once closed, but only after the last bytes are sent.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: keepAliveDelayMs !== undefined,
      ...(keepAliveDelayMs === undefined ? {} : { keepAliveInitialDelay: keepAliveDelayMs }),
    },
    (accepted) => {
      let connection: TcpSocket | undefined;
      try {
        connection = path === 'onread' ? takeHandle(accepted, options) : copyFrom(accepted, options);
      } catch (error) {
        // Another version of Node may refuse the handle.
        accepted.destroy();
        options.onError?.(toError(error));
        return;
      }
      // Without an address, the other side has already reset it.
      if (connection === undefined || connection.remoteAddress === '') connection?.expire();
      else onConnection(connection);
    },
  );
  return {
    listen: async (address) => listen(server, address, options.onError),
    address() {
      const bound = server.address();
      return bound === null || typeof bound === 'string'
        ? undefined
        : { host: bound.address, port: bound.port };
    },
    close: () => void server.close(),
  };
}

/** Returns `undefined` if the socket has no handle, because the other side has already reset it. */
function takeHandle(accepted: Socket, { io, ...options }: TcpListenerOptions): TcpSocket | undefined {
  const handle: unknown = Reflect.get(accepted, HANDLE);
  if (handle === null || handle === undefined) {
    accepted.destroy();
    return undefined;
  }
  Reflect.set(accepted, HANDLE, null);
  accepted.destroy();
  const init = {
    handle: handle as SocketConstructorOpts['handle'],
    allowHalfOpen: true,
    onread: { buffer: io.reads.area, callback: (length: number): boolean => connection.onRead(length) },
  };
  const connection: TcpSocket = new TcpSocket(io, new Socket(init), options);
  return connection;
}

/** A socket whose bytes are copied to the read buffer. */
export function copyFrom(
  socket: Socket,
  { io, ...options }: Pick<TcpListenerOptions, 'io' | keyof TcpSocketOptions>,
): TcpSocket {
  const connection = new TcpSocket(io, socket, options);
  socket.on('data', (data: Buffer) => connection.onData(data));
  return connection;
}

async function listen(
  server: Server,
  { host, port }: ListenAddress,
  onError: (error: Error) => void = () => {},
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  // `::` stands for IPv6 only, because 0.0.0.0 may be listened on too.
  server.listen({ host, port, backlog: LISTEN_BACKLOG, ipv6Only: host.includes(':') }, resolve);
  await promise.finally(() => server.off('error', reject));
  // Such as too many open files.
  server.on('error', onError);
}

/** Whether an error of `listen` means that this machine has no IPv6. */
export function isIpv6Missing({ host }: ListenAddress, error: unknown): boolean {
  const code = errorCode(error);
  return host.includes(':') && (code === 'EAFNOSUPPORT' || (host === '::' && code === 'EADDRNOTAVAIL'));
}
