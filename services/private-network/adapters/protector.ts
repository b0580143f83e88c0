// The swarm key layer as the connection protector of libp2p.
import type { AbortOptions, ConnectionProtector, MultiaddrConnection } from '@libp2p/interface';
import { anySignal } from '../../shared/signals.ts';
import { type Cipher, NONCE_BYTES } from '../../wire/cipher.ts';
import type { BlockDuplex, ByteSink } from '../../wire/layers.ts';
import { PskLayer } from '../../wire/psk-layer.ts';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import type { SwarmKey } from '../key.ts';
import { isBlockConnection, LayerConnection } from './layer-connection.ts';
import { StreamLayer } from './stream-layer.ts';

/** Default deadline for the nonce of the other side, in milliseconds; sufficient for two slow round trips. */
const NONCE_MS = 5_000;

export interface ProtectorOptions {
  readonly key: SwarmKey;
  readonly cipher: Cipher;
  /** Called once per connection, as soon as the outcome is known. */
  readonly onOutcome?: (outcome: ProtectionOutcome, connection: MultiaddrConnection) => void;
  /** Deadline for the nonce of the other side, in milliseconds. Default 5,000. */
  readonly nonceMs?: number;
  /**
   * Called when the other side of an inbound connection has proved the swarm key; the handshake continues when it resolves, and
   * ends when it rejects. Default: it continues at once.
   */
  readonly admit?: (connection: MultiaddrConnection) => Promise<void>;
}

export interface LayerOptions {
  readonly io: WireIo;
  /** Maximum unsent bytes of one connection. Above it the connection is aborted. */
  readonly maxUnsentBytes: number;
}

/** Creates the `connectionProtector` of libp2p for a swarm key. */
export function createProtector(options: ProtectorOptions & LayerOptions): () => ConnectionProtector {
  return () => ({
    protect: async (connection: MultiaddrConnection, signals?: AbortOptions) =>
      protect(connection, options, signals),
  });
}

async function protect(
  connection: MultiaddrConnection,
  options: ProtectorOptions & LayerOptions,
  { signal }: AbortOptions = {},
): Promise<MultiaddrConnection> {
  const { key, cipher, io, maxUnsentBytes, onOutcome, nonceMs = NONCE_MS } = options;
  const isInbound = connection.direction === 'inbound';
  const admit = isInbound ? options.admit : undefined;
  const taken = isBlockConnection(connection) ? connection.take() : undefined;
  const below = taken?.layer ?? new StreamLayer(io, connection, maxUnsentBytes);
  const [nonce, greeting] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const psk = new PskLayer(below, {
    key: key.bytes,
    cipher,
    isInbound,
    isHeld: admit !== undefined,
    onOutcome(outcome) {
      onOutcome?.(outcome, connection);
      if (outcome === 'ok') greeting.resolve();
    },
  });
  below.sink = watchNonce(below, psk, nonce.resolve);
  const protectedConnection = new LayerConnection<BlockDuplex>({
    layer: psk,
    remoteAddr: connection.remoteAddr,
    direction: connection.direction,
    log: connection.log.newScope('psk'),
    below: connection instanceof LayerConnection ? connection : undefined,
  });
  protectedConnection.addEventListener('close', ({ error = new Error('The connection is closed.') }) => {
    nonce.reject(error);
    greeting.reject(error);
  });
  // Whoever does not wait for it ignores its failure, of which the connection tells.
  greeting.promise.catch(() => {});
  if (taken !== undefined && taken.rest.length > 0) {
    below.sink.onBytes(taken.rest, 0, taken.rest.length);
    below.sink.onReadEnd();
  }
  below.resume();
  const nonceSignal = anySignal(signal, AbortSignal.timeout(nonceMs));
  const onLate = (): void => psk.abort(nonceSignal.reason as Error);
  nonceSignal.addEventListener('abort', onLate, { once: true });
  await nonce.promise.finally(() => nonceSignal.removeEventListener('abort', onLate));
  // Whoever opens a connection speaks first, so the other side would wait for us as well.
  if (admit !== undefined) {
    await greeting.promise;
    await admit(connection);
    psk.release();
  }
  return protectedConnection;
}

/** Tells when the nonce of the other side has arrived, then leaves the layer below to `psk`. */
function watchNonce(below: BlockDuplex, psk: PskLayer, onNonce: () => void): ByteSink {
  let missing = NONCE_BYTES;
  return {
    onBytes(buffer, start, end) {
      missing -= end - start;
      if (missing <= 0) {
        below.sink = psk;
        onNonce();
      }
      psk.onBytes(buffer, start, end);
    },
    onReadEnd: () => psk.onReadEnd(),
    onWritable: () => psk.onWritable(),
    onClose: (error) => psk.onClose(error),
  };
}
