// The Noise layer as the connection encrypter of libp2p. It also negotiates the muxer, in the handshake if the other side
// can do that, and otherwise after it.
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type {
  ConnectionEncrypter,
  MessageStream,
  PrivateKey,
  SecureConnectionOptions,
  SecuredConnection,
  StreamMuxerFactory,
} from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { toError } from '../../shared/errors.ts';
import type { ByteSink } from '../../wire/layers.ts';
import { answerProposals, type NegotiationOwner, proposeProtocols } from '../../wire/negotiation.ts';
import type { NoiseChannel } from '../../wire/noise/channel.ts';
import { loadNoiseCrypto, type NoiseCrypto } from '../../wire/noise/crypto.ts';
import type { Handshake, HandshakeRole } from '../../wire/noise/handshake.ts';
import { createNoiseIdentity, type NoiseIdentity } from '../../wire/noise/identity.ts';
import { startNoise } from '../../wire/noise/secure.ts';
import { READ_AREA_BYTES } from '../../wire/read-buffer.ts';
import { isBlockConnection, LayerConnection } from './layer-connection.ts';

/** Announced by the library when it negotiates the muxer, which is a stage of a dial. */
const MULTIPLEX_EVENT = 'upgrader:multiplex-outbound-connection';

/**
 * Maximum bytes that wait until the library creates the muxer: those of one read. Then the connection is paused.
 */
const MAX_BYTES_BEFORE_MUXER = READ_AREA_BYTES;

export interface EncrypterComponents {
  readonly privateKey: PrivateKey;
  readonly upgrader: { getStreamMuxers(): Map<string, StreamMuxerFactory> };
}

type Muxers = ReadonlyMap<string, StreamMuxerFactory>;

/**
 * Creates the connection encrypter of libp2p. The connections are those of `createProtector`.
 *
 * @param crypto default: the fastest that works on this machine
 */
export function createEncrypter(
  crypto: NoiseCrypto = loadNoiseCrypto(),
): (components: EncrypterComponents) => ConnectionEncrypter {
  return (components) => {
    let created: Promise<NoiseIdentity> | undefined;
    const secure = async (
      role: HandshakeRole,
      connection: MessageStream,
      options: SecureConnectionOptions | undefined,
    ) => {
      // The library creates its upgrader later than this.
      const muxers = components.upgrader.getStreamMuxers();
      created ??= createIdentity(components.privateKey, crypto, [...muxers.keys()]);
      const identity = await created;
      return secureConnection(connection, { role, identity, muxers, options });
    };
    return {
      protocol: '/noise',
      secureInbound: async (connection, options) => secure('responder', connection, options),
      secureOutbound: async (connection, options) => secure('initiator', connection, options),
    };
  };
}

async function createIdentity(
  privateKey: PrivateKey,
  crypto: NoiseCrypto,
  muxers: readonly string[],
): Promise<NoiseIdentity> {
  return createNoiseIdentity({
    signer: {
      publicKeyProtobuf: publicKeyToProtobuf(privateKey.publicKey),
      sign: (bytes) => privateKey.sign(bytes),
    },
    crypto,
    muxers,
  });
}

interface SecureOptions {
  readonly role: HandshakeRole;
  readonly identity: NoiseIdentity;
  readonly muxers: Muxers;
  readonly options: (SecureConnectionOptions & ProgressOptions) | undefined;
}

/** The library passes the listener of the dial on, although its types do not say so. */
interface ProgressOptions {
  readonly onProgress?: (event: CustomEvent<undefined>) => void;
}

async function secureConnection(
  connection: MessageStream,
  { role, identity, muxers, options: { remotePeer, signal, onProgress } = {} }: SecureOptions,
): Promise<SecuredConnection> {
  if (!isBlockConnection(connection))
    throw new TypeError('The connection is not one of the protector of this module.');
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<SecuredConnection>();
  const { layer, rest } = connection.take();

  const finish = (channel: NoiseChannel, handshake: Handshake, muxer: string): ByteSink => {
    const secured = new LayerConnection({
      layer: channel,
      remoteAddr: connection.remoteAddr,
      direction: connection.direction,
      log: connection.log.newScope('noise'),
      below: connection,
      maxEarlyBytes: MAX_BYTES_BEFORE_MUXER,
    });
    // Until the library creates the muxer.
    channel.pause();
    resolve({
      connection: secured,
      remotePeer: peerIdFromPublicKey(publicKeyFromProtobuf(handshake.publicKey)),
      ...toFactory(muxers, muxer),
    });
    return channel.sink;
  };
  const onFailed = (error: Error): void => {
    connection.onLayerClose(error);
    reject(error);
  };
  startNoise(layer, {
    role,
    identity,
    expectedPeer: remotePeer === undefined ? undefined : Buffer.from(remotePeer.toMultihash().bytes),
    owner: {
      onFailed,
      onSecured(channel, handshake) {
        if (handshake.muxer !== undefined) return finish(channel, handshake, handshake.muxer);
        onProgress?.(new CustomEvent(MULTIPLEX_EVENT));
        const owner: NegotiationOwner = {
          onProtocol: (muxer) => void finish(channel, handshake, muxer),
          onFailed,
        };
        if (role === 'initiator') proposeProtocols(channel, [...muxers.keys()], owner);
        else answerProposals(channel, [...muxers.keys()], owner);
        return channel.sink;
      },
    },
  });
  const onAbort = (): void => layer.abort(toError(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (rest.length > 0) {
    layer.sink.onBytes(rest, 0, rest.length);
    layer.sink.onReadEnd();
  }
  return promise.finally(() => signal?.removeEventListener('abort', onAbort));
}

function toFactory(muxers: Muxers, name: string): { streamMuxer?: StreamMuxerFactory } {
  const streamMuxer = muxers.get(name);
  return streamMuxer === undefined ? {} : { streamMuxer };
}
