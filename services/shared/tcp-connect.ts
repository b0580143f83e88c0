// Opens a TCP connection to a host that may have several addresses, in the manner of RFC 8305 ("happy eyeballs"): IPv6 and
// IPv4 are looked up and tried at almost the same time, and the first connection is used. Node.js offers the same, but
// gives up each attempt after 250 ms, so that one lost packet or a slow network is a failure. Here an attempt goes on while
// others start, until the deadline of the caller.
import { lookup as lookupAddresses } from 'node:dns/promises';
import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { describeError, errorCode } from './errors.ts';

/** Time after which the next address is tried although the one before has not failed, in milliseconds; from RFC 8305. */
const ATTEMPT_DELAY_MS = 250;

/** Time for which a host with an IPv4 address waits for the look-up of IPv6, in milliseconds; from RFC 8305. */
const RESOLUTION_DELAY_MS = 50;

/** Maximum addresses that are tried. Further ones are ignored. */
const MAX_ADDRESSES = 16;

export type Family = 4 | 6;

/** Resolves to the addresses of a name of one family; rejects when there is none. The signal ends the wait of the caller. */
export type Lookup = (name: string, family: Family, signal: AbortSignal) => Promise<readonly string[]>;

/** Both families, IPv6 first. */
export const ANY_FAMILY: readonly Family[] = [6, 4];

export interface TcpTarget {
  /** A name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** The families of addresses to try, the preferred one first. Default: both. */
  readonly families?: readonly Family[];
}

/** The options of each socket. */
export interface SocketOptions {
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
  readonly noDelay?: boolean;
  readonly allowHalfOpen?: boolean;
  /** Receives the bytes of the connection instead of its events. */
  readonly onread?: OnReadOpts;
}

export interface TcpConnectOptions {
  readonly socket?: SocketOptions;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Called when the first attempt starts, after the look-up. */
  readonly onStart?: () => void;
}

/**
 * Resolves to the first connection. The caller closes it.
 *
 * @throws Error of the only attempt, AggregateError of all attempts, or the reason of the signal
 */
export async function connectTcp(target: TcpTarget, options: TcpConnectOptions): Promise<Socket> {
  const { signal, lookup = systemLookup } = options;
  const { host, families = ANY_FAMILY } = target;
  signal.throwIfAborted();
  const attempts = createAttempts(target, options, families);
  const onAbort = (): void => attempts.stop(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (isIP(host) !== 0) attempts.resolved(isIP(host) as Family, [host]);
  else
    for (const family of families)
      lookup(host, family, signal).then(
        (addresses) => attempts.resolved(family, addresses),
        (error: unknown) => attempts.unresolved(family, error),
      );
  return attempts.winner.finally(() => signal.removeEventListener('abort', onAbort));
}

interface Attempts {
  readonly winner: Promise<Socket>;
  resolved(family: Family, addresses: readonly string[]): void;
  unresolved(family: Family, error: unknown): void;
  stop(reason: unknown): void;
}

function createAttempts(
  { host, port }: TcpTarget,
  { onStart, socket: socketOptions }: TcpConnectOptions,
  families: readonly Family[],
): Attempts {
  const { promise: winner, resolve, reject } = Promise.withResolvers<Socket>();
  const queue = createQueue(families);
  const sockets = new Set<Socket>();
  const errors: unknown[] = [];
  const missing: unknown[] = [];
  const pending = new Set<Family>(isIP(host) === 0 ? families : []);
  let timer: NodeJS.Timeout | undefined;
  let hasStarted = false;
  let isDone = false;

  function finish(settle: () => void): void {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    settle();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  }

  function scheduleNext(delayMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(startNext, delayMs);
  }

  function startNext(): void {
    clearTimeout(timer);
    timer = undefined;
    if (isDone) return;
    const address = queue.take();
    if (address !== undefined) {
      if (!hasStarted) onStart?.();
      hasStarted = true;
      start(address);
      scheduleNext(ATTEMPT_DELAY_MS);
    } else if (sockets.size === 0 && pending.size === 0) {
      // The missing addresses of one family are no news if addresses of the other one were tried.
      const failures = errors.length > 0 ? errors : missing;
      finish(() => reject(failures.length === 1 ? failures[0] : joinErrors(host, failures)));
    }
  }

  function start(address: string): void {
    const socket = connect({ ...socketOptions, host: address, port, autoSelectFamily: false });
    sockets.add(socket);
    // An error without a listener would end the process: of a socket that is destroyed, or that its caller does not use yet.
    socket.on('error', (error) => {
      if (!sockets.delete(socket)) return;
      errors.push(error);
      startNext();
    });
    socket.once('connect', () => {
      sockets.delete(socket);
      finish(() => resolve(socket));
    });
  }

  return {
    winner,
    resolved(family, addresses) {
      pending.delete(family);
      queue.add(family, addresses);
      if (isDone) return;
      const mustWait = !hasStarted && family === 4 && pending.has(6);
      if (mustWait) scheduleNext(RESOLUTION_DELAY_MS);
      else if (!hasStarted || timer === undefined) startNext();
    },
    unresolved(family, error) {
      pending.delete(family);
      missing.push(describeMissing(host, family, error));
      if (!isDone && (!hasStarted || timer === undefined)) startNext();
    },
    stop: (reason) => finish(() => reject(reason)),
  };
}

/** The addresses that are not tried yet. The families alternate. */
function createQueue(families: readonly Family[]) {
  const waiting = new Map<Family, string[]>(families.map((family) => [family, []]));
  let order = [...families];
  let taken = 0;
  return {
    add(family: Family, addresses: readonly string[]): void {
      waiting.set(family, [...(waiting.get(family) ?? []), ...new Set(addresses)].slice(0, MAX_ADDRESSES));
      if (!order.includes(family)) order.push(family);
    },
    take(): string | undefined {
      const family = order.find((each) => (waiting.get(each) ?? []).length > 0);
      if (family === undefined || taken >= MAX_ADDRESSES) return undefined;
      taken += 1;
      order = [...order.filter((each) => each !== family), family];
      return waiting.get(family)?.shift();
    },
  };
}

/** Look-ups in progress. A look-up occupies a thread until it ends, which can be long after the deadline of its caller. */
const lookups = new Map<string, Promise<readonly string[]>>();

/** The look-up of the operating system, which includes its file of hosts. */
export const systemLookup: Lookup = async (name, family) => {
  const key = `${family} ${name}`;
  const running = lookups.get(key);
  if (running !== undefined) return running;
  const started = lookupAddresses(name, { family, all: true })
    .then((found) => found.map(({ address }) => address))
    .finally(() => lookups.delete(key));
  lookups.set(key, started);
  return started;
};

function describeMissing(host: string, family: Family, error: unknown): Error {
  const message = `No IPv${family} address of the name ${host} was found: ${describeError(error)}`;
  return Object.assign(new Error(message, { cause: error }), { code: errorCode(error) });
}

function joinErrors(host: string, errors: readonly unknown[]): AggregateError {
  const reasons = errors.map((error) => describeError(error)).join('; ');
  return new AggregateError(errors, `No address of ${host} accepts connections: ${reasons}`);
}
