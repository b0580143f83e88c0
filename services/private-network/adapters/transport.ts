// TCP sockets of ours as the TCP transport of libp2p. A name that has several addresses is connected to in the way of
// `tcp-connect.ts`, with the family of addresses that its protocol names, and each address that cannot be listened on is
// reported with its reason.
import {
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Transport,
  transportSymbol,
  TypedEventEmitter,
} from '@libp2p/interface';
import { getThinWaistAddresses, ipPortToMultiaddr } from '@libp2p/utils';
import type { Multiaddr } from '@multiformats/multiaddr';
import { ANY_FAMILY, type Family, type Lookup } from '../../shared/tcp-connect.ts';
import { dialTcp } from '../../wire/tcp-dial.ts';
import { type AcceptPath, createTcpListener, type TcpListener } from '../../wire/tcp-listener.ts';
import type { TcpSocket } from '../../wire/tcp-socket.ts';
import { LayerConnection } from './layer-connection.ts';
import type { LayerOptions } from './protector.ts';

/** The families of addresses that the protocols of a host stand for. */
const FAMILIES: Readonly<Record<string, readonly Family[]>> = {
  ip4: [4],
  ip6: [6],
  dns: ANY_FAMILY,
  dns4: [4],
  dns6: [6],
};

/** The event with which the library announces a dial; it is the first stage of an attempt. */
const OPEN_CONNECTION = 'tcp:open-connection';

export interface TransportOptions extends LayerOptions {
  /** How accepted sockets are read. */
  readonly acceptPath: AcceptPath;
  /** Idle time before the first TCP keepalive probe, in milliseconds. */
  readonly keepAliveDelayMs: number;
  /** Idle timeout of a connection whose peer is alive, in milliseconds; 0 means none. */
  readonly idleTimeoutMs: number;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Called with each address that cannot be listened on. */
  readonly onListenFailure?: ((address: Multiaddr, error: unknown) => void) | undefined;
}

interface DialOptions extends DialTransportOptions {
  /** Default: that of the transport. */
  readonly lookup?: Lookup | undefined;
}

export function createTransport(
  options: TransportOptions,
): (components: { readonly logger: ComponentLogger }) => Transport {
  return ({ logger }) => {
    const log = logger.forComponent('rustory:tcp');
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'rustory/tcp',
      async dial(address: Multiaddr, dial: DialOptions): Promise<Connection> {
        dial.signal.throwIfAborted();
        dial.onProgress?.(
          new CustomEvent(OPEN_CONNECTION) as Parameters<NonNullable<typeof dial.onProgress>>[0],
        );
        const target = targetOf(address);
        const { signal, lookup = options.lookup } = dial;
        const socket = await dialTcp(target, { ...options, signal, lookup });
        const connection = new LayerConnection<TcpSocket>({
          layer: socket,
          remoteAddr: address,
          direction: 'outbound',
          log: log.newScope('connection'),
        });
        socket.resume();
        try {
          return await dial.upgrader.upgradeOutbound(connection, dial);
        } catch (error) {
          connection.abort(error instanceof Error ? error : new Error(String(error)));
          throw error;
        }
      },
      createListener: (listen) => new TransportListener(options, listen, logger),
      listenFilter: (addresses) => addresses.filter(isTcp),
      dialFilter: (addresses) => addresses.filter(isTcp),
    };
  };
}

function isTcp(address: Multiaddr): boolean {
  const [host, port, peer, ...rest] = address.getComponents().map(({ name }) => name);
  return (
    FAMILIES[host ?? ''] !== undefined &&
    port === 'tcp' &&
    (peer === undefined || peer === 'p2p') &&
    rest.length === 0
  );
}

function targetOf(address: Multiaddr) {
  const [host, port] = address.getComponents();
  return {
    host: host?.value ?? '',
    port: Number(port?.value),
    families: FAMILIES[host?.name ?? ''] ?? ANY_FAMILY,
  };
}

class TransportListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #tcp: TcpListener;
  readonly #onListenFailure: TransportOptions['onListenFailure'];
  readonly #connections = new Set<LayerConnection>();
  readonly #stopped = new AbortController();
  #address: Multiaddr | undefined;

  constructor(options: TransportOptions, { upgrader }: CreateListenerOptions, logger: ComponentLogger) {
    super();
    const log = logger.forComponent('rustory:tcp:listener');
    this.#onListenFailure = options.onListenFailure;
    this.#tcp = createTcpListener({
      ...options,
      path: options.acceptPath,
      onError: (error) => this.safeDispatchEvent('error', { detail: error }),
      onConnection: (socket) => {
        const connection = new LayerConnection<TcpSocket>({
          layer: socket,
          remoteAddr: ipPortToMultiaddr(socket.remoteAddress, socket.remotePort),
          direction: 'inbound',
          log,
        });
        this.#connections.add(connection);
        connection.addEventListener('close', () => this.#connections.delete(connection));
        upgrader.upgradeInbound(connection, { signal: this.#stopped.signal }).catch((error: Error) => {
          log.error('inbound connection failed - %e', error);
          connection.abort(error);
        });
      },
    });
  }

  async listen(address: Multiaddr): Promise<void> {
    const { host, port } = targetOf(address);
    try {
      await this.#tcp.listen({ host, port });
    } catch (error) {
      this.#onListenFailure?.(address, error);
      throw error;
    }
    this.#address = address;
    this.safeDispatchEvent('listening');
  }

  getAddrs(): Multiaddr[] {
    const bound = this.#tcp.address();
    return this.#address === undefined || bound === undefined
      ? []
      : getThinWaistAddresses(this.#address, bound.port);
  }

  updateAnnounceAddrs(): void {
    // They are not used by a socket.
  }

  async close(): Promise<void> {
    this.#tcp.close();
    this.#stopped.abort();
    for (const connection of this.#connections) connection.abort(new Error('The node stops.'));
    // Not before the library has closed the other listeners: at this event it removes one from the list of those that it
    // has not closed yet.
    queueMicrotask(() => this.safeDispatchEvent('close'));
  }
}
