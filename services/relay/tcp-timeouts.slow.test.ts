import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { startPeer, startRelay } from '../../testing/relay.ts';
import { createTcpTimeouts } from './tcp-timeouts.ts';

afterEach(cleanUp);

const HAS_SS = spawnSync('ss', ['--version']).status === 0;

/** The state of the relay's connections to its peers as the kernel reports it. */
function timersOf(port: number): string {
  const { stdout } = spawnSync('ss', ['-Htnio', 'state', 'established', 'sport', `= :${port}`], {
    encoding: 'utf8',
  });
  return stdout;
}

/** Numbers of the Linux ABI. */
const IPPROTO_TCP = 6;
const OPTIONS = { idle: 4, interval: 5, probes: 6, userTimeout: 18 };

interface GetOption {
  readonly functions: {
    getsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: Int32Array): number;
  };
}

/** The time-outs of a socket as the kernel has them. */
function timeoutsOf(socket: Socket): Record<keyof typeof OPTIONS, number> {
  const ffi = process.getBuiltinModule('node:ffi' as 'node:net') as unknown as {
    dlopen(library: null, functions: object): GetOption;
  };
  const { functions } = ffi.dlopen(null, {
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
  });
  const { fd } = Reflect.get(socket, '_handle') as { fd: number };
  const read = (option: number): number => {
    const value = new Int32Array(1);
    functions.getsockopt(fd, IPPROTO_TCP, option, value, new Int32Array([4]));
    return value[0] ?? 0;
  };
  return {
    idle: read(OPTIONS.idle),
    interval: read(OPTIONS.interval),
    probes: read(OPTIONS.probes),
    userTimeout: read(OPTIONS.userTimeout),
  };
}

if (process.platform === 'linux')
  test('an idle connection is probed after 15 minutes, and gives up after 25, also with bytes in flight', async () => {
    const timeouts = createTcpTimeouts();
    expect(timeouts.kernelDefault).toBeUndefined();
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer(accepted.resolve).listen(0, '127.0.0.1');
    onCleanup(() => void server.close());
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    onCleanup(() => void client.destroy());
    const socket = await accepted.promise;
    onCleanup(() => void socket.destroy());
    timeouts.apply({ socket });
    expect(timeoutsOf(socket)).toEqual({ idle: 900, interval: 60, probes: 10, userTimeout: 1_500_000 });
  });

if (HAS_SS)
  test('the keepalive of a connection begins after the gap that it must survive', async () => {
    const relay = await startRelay();
    await startPeer(relay);
    const port = Number(relay.address.getComponents()[1]?.value);
    // In minutes and seconds; the timer began when the connection was opened.
    expect(timersOf(port)).toMatch(/timer:\(keepalive,1[345]min/);
  });
