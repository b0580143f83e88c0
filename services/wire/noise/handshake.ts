// The Noise handshake of libp2p (https://github.com/libp2p/specs/tree/master/noise): a state machine without I/O. Each
// side proves its identity in the payload of the message that contains its static key.
import type { CipherState } from './cipher-state.ts';
import { NoiseError } from './errors.ts';
import type { NoiseIdentity } from './identity.ts';
import { type RemoteIdentity, verifyPayload } from './payload.ts';
import { XxPattern } from './xx-pattern.ts';

/** Maximum length of a message, in bytes: far above that with the largest key and signature. */
export const MAX_HANDSHAKE_MESSAGE_BYTES = 8192;

export type HandshakeRole = 'initiator' | 'responder';

/** What this side does next. */
export type HandshakeState =
  /** The initiator has not started. */
  | 'ready'
  /** The responder waits for the first message. */
  | 'awaits-hello'
  /** The initiator waits for the identity of the responder. */
  | 'awaits-responder'
  /** The responder waits for the identity of the initiator. */
  | 'awaits-initiator'
  | 'done'
  | 'failed';

/** What a handshake has agreed on. */
export interface Handshake {
  /** The key of the other side in libp2p's protobuf encoding. */
  readonly publicKey: Buffer;
  /** The peer id of the other side: the multihash of its key. */
  readonly peer: Buffer;
  /** Muxers that the other side has offered; empty if it negotiates them later. */
  readonly remoteMuxers: readonly string[];
  /** The muxer that both sides use; `undefined` if it is negotiated after the handshake. */
  readonly muxer: string | undefined;
  readonly send: CipherState;
  readonly receive: CipherState;
}

const EMPTY = Buffer.alloc(0);

export class NoiseHandshake {
  readonly #role: HandshakeRole;
  readonly #identity: NoiseIdentity;
  readonly #expectedPeer: Buffer | undefined;
  readonly #pattern: XxPattern;
  #state: HandshakeState;
  /** Set in the state `done`. */
  result: Handshake | undefined;

  /** @param expectedPeer the multihash of the peer id that the other side must have */
  constructor(role: HandshakeRole, identity: NoiseIdentity, expectedPeer?: Buffer) {
    this.#role = role;
    this.#identity = identity;
    this.#expectedPeer = expectedPeer;
    this.#state = role === 'initiator' ? 'ready' : 'awaits-hello';
    const { crypto, staticKeys } = identity;
    this.#pattern = new XxPattern(role, {
      aead: crypto.aead,
      sha256: crypto.sha256,
      staticKeys,
      ephemeralKeys: crypto.keyAgreement.generate(),
    });
  }

  get state(): HandshakeState {
    return this.#state;
  }

  /** The first message of the initiator. */
  start(): Buffer {
    if (this.#state !== 'ready') throw new TypeError(`The handshake is ${this.#state}.`);
    this.#state = 'awaits-responder';
    return this.#pattern.write(EMPTY);
  }

  /**
   * Handles a message, without its length, and returns the answer to it, if there is one. Afterwards the state may be `done`.
   *
   * @throws NoiseError if the handshake has failed
   */
  receive(message: Uint8Array): Buffer | undefined {
    const state = this.#state;
    this.#state = 'failed';
    if (message.length > MAX_HANDSHAKE_MESSAGE_BYTES)
      throw new NoiseError('NOISE_HANDSHAKE_SIZE', 'The Noise handshake failed: a message is too long.');
    let answer: Buffer | undefined;
    switch (state) {
      case 'awaits-hello':
        this.#pattern.read(message);
        answer = this.#pattern.write(this.#identity.payload);
        this.#state = 'awaits-initiator';
        break;
      case 'awaits-responder': {
        const remote = this.#readIdentity(message);
        answer = this.#pattern.write(this.#identity.payload);
        this.#finish(remote);
        break;
      }
      case 'awaits-initiator':
        this.#finish(this.#readIdentity(message));
        break;
      case 'ready':
      case 'done':
      case 'failed':
        throw new TypeError(`The handshake is ${state}.`);
    }
    return answer;
  }

  #readIdentity(message: Uint8Array): RemoteIdentity {
    const payload = this.#pattern.read(message);
    const remote = verifyPayload(payload, this.#pattern.remoteStatic ?? EMPTY, this.#identity.crypto);
    if (this.#expectedPeer !== undefined && !this.#expectedPeer.equals(remote.key.peer))
      throw new NoiseError('NOISE_UNEXPECTED_PEER', 'The other side has another peer id than expected.');
    return remote;
  }

  #finish({ key, muxers }: RemoteIdentity): void {
    const { muxers: ours } = this.#identity;
    const muxer = this.#role === 'initiator' ? chooseMuxer(ours, muxers) : chooseMuxer(muxers, ours);
    const { send, receive } = this.#pattern.split();
    this.result = { publicKey: key.protobuf, peer: key.peer, remoteMuxers: muxers, muxer, send, receive };
    this.#state = 'done';
  }
}

/** The first muxer of the initiator that the responder has; `undefined` if one of them offers none. */
function chooseMuxer(initiator: readonly string[], responder: readonly string[]): string | undefined {
  if (initiator.length === 0 || responder.length === 0) return undefined;
  const muxer = initiator.find((name) => responder.includes(name));
  if (muxer === undefined)
    throw new NoiseError(
      'NOISE_NO_COMMON_MUXER',
      `The other side supports no muxer of ours; it offers ${(responder.length > 0 ? responder : initiator).join(', ')}.`,
    );
  return muxer;
}
