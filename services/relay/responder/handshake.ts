// The handshake of a connection: the swarm key, the turn, Noise, and the muxer.
import type { PeerIdentity } from '../connection.ts';
import { parsePeer } from '../peer-identity.ts';
import type { Cipher } from '../../wire/cipher.ts';
import type { ByteSink, MuxSession } from '../../wire/layers.ts';
import { answerProposals, type NegotiationOwner } from '../../wire/negotiation.ts';
import type { NoiseChannel } from '../../wire/noise/channel.ts';
import type { Handshake } from '../../wire/noise/handshake.ts';
import type { NoiseIdentity } from '../../wire/noise/identity.ts';
import { type SecureOwner, startNoise } from '../../wire/noise/secure.ts';
import { PskLayer, type PskOptions } from '../../wire/psk-layer.ts';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import type { SwarmKey } from '../../private-network/key.ts';
import type { WireConnection } from './connection.ts';

const NOISE_PROTOCOL = '/noise';

/** Creates the session of a muxer on a channel, and makes it the sink of the channel. */
export type CreateSession = (channel: NoiseChannel, connection: WireConnection) => MuxSession;

export interface HandshakesOptions {
  readonly key: SwarmKey;
  readonly cipher: Cipher;
  readonly identity: NoiseIdentity;
  /** The peer id of the relay, which no peer may have. */
  readonly ownId: string;
  /** By protocol, in the order in which they are offered. */
  readonly muxers: ReadonlyMap<string, CreateSession>;
  /** The outcome of the swarm key. If it is `ok`, the handshake continues with `release`. */
  onOutcome(outcome: ProtectionOutcome, handshake: ConnectionHandshake): void;
  /** The muxer is chosen. Returns whether the connection is admitted. */
  onFinished(handshake: ConnectionHandshake): boolean;
}

/** Starts the handshake of a connection. */
export type StartHandshake = (connection: WireConnection) => ConnectionHandshake;

export function createHandshakes(options: HandshakesOptions): StartHandshake {
  // The layers of all connections share one object of options, so that idle connections do not keep their handshakes.
  const pending = new Map<PskLayer, ConnectionHandshake>();
  const pskOptions: PskOptions = {
    key: options.key.bytes,
    cipher: options.cipher,
    isInbound: true,
    isHeld: true,
    onOutcome(outcome, layer) {
      const handshake = pending.get(layer);
      if (handshake !== undefined) options.onOutcome(outcome, handshake);
    },
  };
  return (connection) => {
    const layer = new PskLayer(connection.tcp, pskOptions);
    const handshake = new ConnectionHandshake(connection, layer, options);
    pending.set(layer, handshake);
    handshake.onEnd = () => pending.delete(layer);
    return handshake;
  };
}

/** A class, because there is one for each pending connection. */
export class ConnectionHandshake implements SecureOwner, NegotiationOwner {
  readonly connection: WireConnection;
  readonly #layer: PskLayer;
  readonly #options: HandshakesOptions;
  /** Forgets the handshake, which is finished or has failed. */
  onEnd: () => void = () => {};
  #channel: NoiseChannel | undefined;
  #peer: PeerIdentity | undefined;

  constructor(connection: WireConnection, layer: PskLayer, options: HandshakesOptions) {
    this.connection = connection;
    this.#layer = layer;
    this.#options = options;
    answerProposals(layer, [NOISE_PROTOCOL], this);
  }

  /** It is the turn of this handshake. */
  release(): void {
    this.#layer.release();
  }

  onProtocol(protocol: string): void {
    if (this.#channel === undefined)
      startNoise(this.#layer, { role: 'responder', identity: this.#options.identity, owner: this });
    else this.#start(this.#channel, protocol);
  }

  onSecured(channel: NoiseChannel, { peer, muxer }: Handshake): ByteSink {
    this.#channel = channel;
    // A copy of its own: `peer` is a part of a block of 64 KiB, which each idle connection would keep.
    this.#peer = parsePeer(Uint8Array.from(peer));
    if (this.#peer === undefined || this.#peer.id === this.#options.ownId) {
      channel.abort(new Error('The other side has the peer id of this relay.'));
      return channel.sink;
    }
    if (muxer !== undefined) this.#start(channel, muxer);
    else answerProposals(channel, [...this.#options.muxers.keys()], this);
    return channel.sink;
  }

  onFailed(): void {
    this.onEnd();
  }

  #start(channel: NoiseChannel, muxer: string): void {
    const { connection } = this;
    const createSession = this.#options.muxers.get(muxer);
    if (createSession === undefined || this.#peer === undefined) {
      channel.abort(new Error(`The relay has no muxer ${muxer}.`));
      return;
    }
    const session = createSession(channel, connection);
    connection.start(this.#peer, session);
    this.onEnd();
    if (!this.#options.onFinished(this)) connection.abort(new Error('The connection was refused.'));
  }
}
