// The transport stack of the peer: the layers of `services/wire`, on which libp2p runs.
import type { PrivateKey } from '@libp2p/interface';
import type { Libp2pOptions } from 'libp2p';
import type { NoiseCrypto } from '../../wire/noise/crypto.ts';
import type { AcceptPath } from '../../wire/tcp-listener.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import { createEncrypter } from './encrypter.ts';
import { type ConnectionLimits, createManagerOptions, HANDSHAKE_MS } from './manager-options.ts';
import { createMuxers } from './muxer.ts';
import { createProtector, type ProtectorOptions } from './protector.ts';
import { createTransport, type TransportOptions } from './transport.ts';

/** Maximum of unsent bytes on one connection: two of the largest responses of a peer. Above it the connection is closed. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/**
 * Idle time before the first TCP keepalive probe, in milliseconds. Node sets ten probes, one per second, so the kernel
 * detects a dead peer within about 25 seconds, also when the event loop is busy.
 */
const KEEPALIVE_DELAY_MS = 15_000;

/** Idle timeout of a connection whose peer is alive, in milliseconds. */
const IDLE_TIMEOUT_MS = 2 * 60 * 60 * 1000;

export interface StackLimits extends ConnectionLimits {
  /** Maximum streams of one connection in each direction. Further ones are reset. */
  readonly maxStreamsPerConnection: number;
}

export interface WireStackOptions
  extends ProtectorOptions, Pick<TransportOptions, 'lookup' | 'onListenFailure'> {
  readonly identity: PrivateKey;
  readonly limits: StackLimits;
  readonly io: WireIo;
  readonly acceptPath: AcceptPath;
  /** The cryptography of Noise. Default: the fastest that works on this machine. */
  readonly crypto?: NoiseCrypto;
}

/** The libp2p options; the caller adds addresses, services and the circuit transport. */
export function createWireStack(options: WireStackOptions) {
  const { identity, limits } = options;
  const layer = { io: options.io, maxUnsentBytes: MAX_UNSENT_BYTES };
  return {
    privateKey: identity,
    // Half of the deadline, so that the error says that the nonce is missing.
    connectionProtector: createProtector({ nonceMs: HANDSHAKE_MS / 2, ...options, ...layer }),
    connectionEncrypters: [createEncrypter(options.crypto)],
    streamMuxers: createMuxers({
      maxStreams: limits.maxStreamsPerConnection,
      negotiationMs: HANDSHAKE_MS,
    }),
    // Bulk data on the same connection delays a ping, and a late response would close a connection that is only busy.
    connectionMonitor: { enabled: false },
    connectionManager: createManagerOptions(limits),
    transports: [
      createTransport({
        ...layer,
        acceptPath: options.acceptPath,
        keepAliveDelayMs: KEEPALIVE_DELAY_MS,
        idleTimeoutMs: IDLE_TIMEOUT_MS,
        lookup: options.lookup,
        onListenFailure: options.onListenFailure,
      }),
    ],
  } satisfies Libp2pOptions;
}
