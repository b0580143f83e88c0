// The time-outs of the kernel for one connection: keepalive while nothing is in flight, and retransmission of bytes that
// are in flight. By default Linux gives up bytes in flight after 924 seconds at the latest, without a try in the last two
// minutes, and a gap of 15 minutes then ends most connections.
// On Linux a connection inherits the options of the socket that has accepted it. So they are set once for each listening
// socket, which saves five calls of the system for each connection; the first connection is asked whether it has them.
import type { Socket } from 'node:net';
import { describeError } from '../shared/errors.ts';
import type { RelayConnection } from './connection.ts';
import { loadFunctions } from './foreign-functions.ts';
import { DEAD_MS, KEEPALIVE_DELAY_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES } from './liveness-limits.ts';

/** Numbers of the Linux ABI: levels, and options for `setsockopt`. `TCP_USER_TIMEOUT` is in milliseconds, the other times in seconds. */
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

/** What each connection has: level, option and value. */
const OPTIONS: ReadonlyArray<readonly [level: number, option: number, value: number]> = [
  [SOL_SOCKET, SO_KEEPALIVE, 1],
  [IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_DELAY_MS / 1000],
  [IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_MS / 1000],
  [IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES],
  [IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS],
];

/** Options of a file descriptor. */
interface SocketOptions {
  /** Returns whether the system has accepted the value. */
  set(fd: number, level: number, option: number, value: number): boolean;
  /** `undefined` if the system does not tell it. */
  get(fd: number, level: number, option: number): number | undefined;
}

/** The member `_handle` of a socket of Node; `tcp-timeouts.slow.test.ts` checks it. */
interface Handle {
  readonly fd?: number;
}

export interface TcpTimeouts {
  /** Why bytes in flight have the deadline of the kernel; `undefined` when they have ours. For the log. */
  readonly kernelDefault: string | undefined;
  /** Sets them for the connections that a socket will accept, where connections inherit them. */
  applyToListener(fd: number | undefined): void;
  apply(connection: Pick<RelayConnection, 'socket'>): void;
}

export function createTcpTimeouts(): TcpTimeouts {
  const loaded = loadSocketOptions();
  const options = typeof loaded === 'string' ? undefined : loaded;
  /** Whether connections have the options of their listening sockets: asked once, for all are accepted by such sockets. */
  let isInherited = options === undefined ? false : undefined;
  return {
    kernelDefault: typeof loaded === 'string' ? loaded : undefined,
    applyToListener(fd) {
      const isSet =
        fd !== undefined &&
        fd >= 0 &&
        OPTIONS.every(([level, option, value]) => options?.set(fd, level, option, value));
      if (!isSet) isInherited = false;
    },
    apply({ socket }) {
      if (isInherited === true || socket === undefined) return;
      const { fd = -1 } = (Reflect.get(socket, '_handle') ?? {}) as Handle;
      if (options !== undefined && fd >= 0) {
        isInherited ??= OPTIONS.every(([level, option, value]) => options.get(fd, level, option) === value);
        if (isInherited) return;
        options.set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
      }
      setKeepAlive(socket);
    },
  };
}

/** The types of Node lack the last two parameters, and versions that do not have them ignore them. */
function setKeepAlive(socket: Socket): void {
  const values = [true, KEEPALIVE_DELAY_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES];
  Reflect.apply(socket.setKeepAlive, socket, values);
}

/** Returns the reason as a sentence when options cannot be set. Node has no API for them, only for C functions. */
function loadSocketOptions(): SocketOptions | string {
  if (process.platform !== 'linux') return `The platform ${process.platform} has no TCP_USER_TIMEOUT.`;
  try {
    const functions = loadFunctions<{
      setsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: number): number;
      getsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: Int32Array): number;
    }>({
      setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
      getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
    });
    const value = new Int32Array(1);
    const length = new Int32Array(1);
    const options: SocketOptions = {
      set(fd, level, option, wanted) {
        value[0] = wanted;
        return functions.setsockopt(fd, level, option, value, value.byteLength) === 0;
      },
      get(fd, level, option) {
        length[0] = value.byteLength;
        return functions.getsockopt(fd, level, option, value, length) === 0 ? value[0] : undefined;
      },
    };
    // The module is experimental. If a version of Node.js accepts other arguments, these calls throw, and not those for a
    // connection, which would be refused. The kernel answers that there is no such file.
    options.set(-1, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
    options.get(-1, IPPROTO_TCP, TCP_USER_TIMEOUT);
    return options;
  } catch (error) {
    return describeError(error);
  }
}
