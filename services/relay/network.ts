// What the relay expects of its network: it accepts connections, has them admitted, and passes each stream to the
// handler of its protocol.
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Cipher } from '../wire/cipher.ts';
import type { HandshakeLimiter, PendingConnection } from '../private-network/handshake-limiter.ts';
import type { MuxerViolation } from '../wire/muxer/violations.ts';
import type { WireIo } from '../wire/wire-io.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import type { RelayConfig } from './config.ts';
import type { ConnectionLimiter } from './connection-limiter.ts';
import type { RelayConnection, RelayStream } from './connection.ts';
import type { WithProxyHeaders } from './proxy-headers.ts';

/** Streams of one peer in addition to its circuits: requests and identify. */
export const STREAMS_ABOVE_CIRCUITS = 64;

/** Maximum bytes of unsent responses to control frames on one connection, in addition to one circuit buffer. */
export const MAX_CONNECTION_UNSENT_BYTES = 1024 * 1024;

/** A protocol that the relay serves. */
export interface StreamHandler {
  readonly protocol: string;
  /** Maximum concurrent streams of the protocol that a peer may open on one connection. A further one is reset. */
  readonly maxInboundStreams: number;
  /** Must not throw or reject. */
  handle(stream: RelayStream): void | Promise<void>;
}

/** A connection in its handshake, with the multiaddr of the other side for the log. */
export interface AddressedConnection extends PendingConnection {
  readonly address: string;
}

export interface RelayNetworkOptions {
  readonly config: RelayConfig;
  readonly cipher: Cipher;
  /** The buffers of all connections of this process. */
  readonly io: WireIo;
  readonly handshakes: HandshakeLimiter<AddressedConnection>;
  /** Wraps what the listeners call with their connections: reads headers of load balancers first. */
  readonly withProxyHeaders: WithProxyHeaders;
  readonly limiter: Pick<ConnectionLimiter, 'accept' | 'open'>;
  readonly handlers: readonly StreamHandler[];
  /** The muxer of a connection has closed it because of what its peer sent. */
  readonly onViolation: (reason: MuxerViolation, connection: RelayConnection) => void;
  readonly clock: Pick<LoopClock, 'nowMs' | 'after'>;
  readonly log: Logger;
}

export interface RelayNetwork {
  /** Listens on all addresses. @throws Error that names RELAY_LISTEN, and each address with its reason */
  start(): Promise<void>;
  /** Closes the listeners and all connections. */
  stop(): Promise<void>;
  /** The announced addresses, each with the peer id at its end. Empty before the start. */
  addresses(): Multiaddr[];
  /** The addresses that are not listened on because this machine has no IPv6. */
  withoutIpv6(): string[];
}
