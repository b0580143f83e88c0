// The time-outs of the kernel for one connection: keepalive while nothing is in flight, and retransmission of bytes that
// are in flight. By default Linux gives up bytes in flight after 924 seconds at the latest, without a try in the last two
// minutes, and a gap of 15 minutes then ends most connections.
import type { Socket } from 'node:net';
import { describeError } from '../shared/errors.ts';
import { loadFunctions } from '../shared/foreign-functions.ts';
import type { RelayConnection } from './connection.ts';
import { DEAD_MS, KEEPALIVE_DELAY_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES } from './liveness-limits.ts';

/** Numbers of the Linux ABI: the level and the option for `setsockopt`. The option has a value in milliseconds. */
const IPPROTO_TCP = 6;
const TCP_USER_TIMEOUT = 18;

/** Sets the option `TCP_USER_TIMEOUT` of a file descriptor. */
type SetUserTimeout = (fd: number, durationMs: number) => void;

/** The member `_handle` of a socket of Node; `tcp-timeouts.slow.test.ts` checks it. */
interface Handle {
  readonly fd?: number;
}

export interface TcpTimeouts {
  /** Why bytes in flight have the deadline of the kernel; `undefined` when they have ours. For the log. */
  readonly kernelDefault: string | undefined;
  apply(connection: Pick<RelayConnection, 'socket'>): void;
}

export function createTcpTimeouts(): TcpTimeouts {
  const loaded = loadSetUserTimeout();
  return {
    kernelDefault: typeof loaded === 'string' ? loaded : undefined,
    apply({ socket }) {
      if (socket === undefined) return;
      setKeepAlive(socket);
      const { fd } = (Reflect.get(socket, '_handle') ?? {}) as Handle;
      if (typeof loaded === 'function' && fd !== undefined && fd >= 0) loaded(fd, DEAD_MS);
    },
  };
}

/** The types of Node lack the last two parameters, and versions that do not have them ignore them. */
function setKeepAlive(socket: Socket): void {
  const values = [true, KEEPALIVE_DELAY_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES];
  Reflect.apply(socket.setKeepAlive, socket, values);
}

/** Returns the reason as a sentence when the option cannot be set. Node has no API for it, only for C functions. */
function loadSetUserTimeout(): SetUserTimeout | string {
  if (process.platform !== 'linux') return `The platform ${process.platform} has no TCP_USER_TIMEOUT.`;
  try {
    const functions = loadFunctions<{
      setsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: number): number;
    }>({
      setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    });
    const value = new Int32Array(1);
    const setUserTimeout: SetUserTimeout = (fd, durationMs) => {
      value[0] = durationMs;
      functions.setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, value, value.byteLength);
    };
    // The module is experimental. If a version of Node.js accepts other arguments, this call throws, and not one for a
    // connection, which would be refused. The kernel answers that there is no such file.
    setUserTimeout(-1, DEAD_MS);
    return setUserTimeout;
  } catch (error) {
    return describeError(error);
  }
}
