// The transport stack of the peer: the layers of `services/wire`, on which libp2p runs. It has the limits of
// `transport-stack.ts`.
import type { PrivateKey } from '@libp2p/interface';
import type { Libp2pOptions } from 'libp2p';
import type { AcceptPath } from '../../wire/tcp-listener.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import {
  createManagerOptions,
  HANDSHAKE_MS,
  IDLE_TIMEOUT_MS,
  KEEPALIVE_DELAY_MS,
  type TransportLimits,
} from '../transport-stack.ts';
import { createEncrypter } from './encrypter.ts';
import { createMuxers } from './muxer.ts';
import { createProtector, type ProtectorOptions } from './protector.ts';
import { createTransport, type TransportOptions } from './transport.ts';

/** Default maximum of unsent bytes on one connection: two of the largest responses of a peer. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

export interface WireStackOptions
  extends ProtectorOptions, Pick<TransportOptions, 'lookup' | 'onListenFailure'> {
  readonly identity: PrivateKey;
  readonly limits: TransportLimits;
  readonly io: WireIo;
  readonly acceptPath: AcceptPath;
}

/** The libp2p options; the caller adds addresses, services and the circuit transport. */
export function createWireStack(options: WireStackOptions) {
  const { identity, limits } = options;
  const handshakeMs = limits.handshakeMs ?? HANDSHAKE_MS;
  const layer = { io: options.io, maxUnsentBytes: limits.maxUnsentBytes ?? MAX_UNSENT_BYTES };
  return {
    privateKey: identity,
    // Half of the deadline, so that the error says that the nonce is missing.
    connectionProtector: createProtector({
      nonceMs: limits.inboundUpgradeMs ?? handshakeMs / 2,
      ...options,
      ...layer,
    }),
    connectionEncrypters: [createEncrypter()],
    streamMuxers: createMuxers(limits.maxStreamsPerConnection),
    // Bulk data on the same connection delays a ping, and a late response would close a connection that is only busy.
    connectionMonitor: { enabled: false },
    connectionManager: createManagerOptions(limits),
    transports: [
      createTransport({
        ...layer,
        acceptPath: options.acceptPath,
        keepAliveDelayMs: limits.keepAliveDelayMs ?? KEEPALIVE_DELAY_MS,
        idleTimeoutMs: limits.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
        lookup: options.lookup,
        onListenFailure: options.onListenFailure,
      }),
    ],
  } satisfies Libp2pOptions;
}
