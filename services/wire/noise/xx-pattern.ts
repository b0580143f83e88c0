// The handshake pattern XX of the Noise protocol framework (section 7.5): three messages, after which both sides know the
// static key of the other.
//
//   initiator                      responder
//   e                    ──1──▶
//                        ◀──2──    e, ee, s, es
//   s, se                ──3──▶
//
// Payloads are the caller's: see `handshake.ts` for those of libp2p.
import type { Aead } from './aead.ts';
import type { CipherState } from './cipher-state.ts';
import type { Sha256 } from './crypto.ts';
import { NoiseError } from './errors.ts';
import { DH_BYTES, type DhKeys } from './key-agreement.ts';
import { SymmetricState } from './symmetric-state.ts';

/** What is the next step of this side. */
export type XxState = 'write1' | 'read1' | 'write2' | 'read2' | 'write3' | 'read3' | 'done';

export interface XxKeys {
  readonly aead: Aead;
  readonly sha256: Sha256;
  /** The keys of this side for all its connections. */
  readonly staticKeys: DhKeys;
  /** The keys of this side for this connection. */
  readonly ephemeralKeys: DhKeys;
}

/** One side of a handshake. */
export class XxPattern {
  readonly #symmetric: SymmetricState;
  readonly #static: DhKeys;
  readonly #ephemeral: DhKeys;
  readonly #isInitiator: boolean;
  #remoteEphemeral: Uint8Array | undefined;
  /** The static key of the other side, once its message was read. */
  remoteStatic: Buffer | undefined;
  state: XxState;

  constructor(role: 'initiator' | 'responder', { aead, sha256, staticKeys, ephemeralKeys }: XxKeys) {
    this.#symmetric = new SymmetricState({ aead, sha256 });
    this.#static = staticKeys;
    this.#ephemeral = ephemeralKeys;
    this.#isInitiator = role === 'initiator';
    this.state = this.#isInitiator ? 'write1' : 'read1';
  }

  /** Writes the next message. @throws TypeError if it is not the turn of this side */
  write(payload: Uint8Array): Buffer {
    const parts: Uint8Array[] = [];
    switch (this.state) {
      case 'write1':
        parts.push(this.#writeEphemeral());
        this.state = 'read2';
        break;
      case 'write2':
        parts.push(this.#writeEphemeral());
        this.#mixKey(this.#ephemeral, this.#remoteEphemeral);
        parts.push(this.#symmetric.encryptAndHash(this.#static.publicKey));
        this.#mixKey(this.#static, this.#remoteEphemeral);
        this.state = 'read3';
        break;
      case 'write3':
        parts.push(this.#symmetric.encryptAndHash(this.#static.publicKey));
        this.#mixKey(this.#static, this.#remoteEphemeral);
        this.state = 'done';
        break;
      case 'read1':
      case 'read2':
      case 'read3':
      case 'done':
        throw new TypeError(`The handshake cannot write in the state ${this.state}.`);
    }
    return Buffer.concat([...parts, this.#symmetric.encryptAndHash(payload)]);
  }

  /**
   * Reads a message and returns its payload.
   *
   * @throws NoiseError if the message is too short, not authentic, or has a key that is not valid
   * @throws TypeError if it is the turn of this side
   */
  read(message: Uint8Array): Buffer {
    let rest: Uint8Array;
    switch (this.state) {
      case 'read1':
        rest = this.#readEphemeral(message);
        this.state = 'write2';
        break;
      case 'read2':
        rest = this.#readEphemeral(message);
        this.#mixKey(this.#ephemeral, this.#remoteEphemeral);
        rest = this.#readStatic(rest);
        this.#mixKey(this.#ephemeral, this.remoteStatic);
        this.state = 'write3';
        break;
      case 'read3':
        rest = this.#readStatic(message);
        this.#mixKey(this.#ephemeral, this.remoteStatic);
        this.state = 'done';
        break;
      case 'write1':
      case 'write2':
      case 'write3':
      case 'done':
        throw new TypeError(`The handshake cannot read in the state ${this.state}.`);
    }
    const payload = this.#symmetric.decryptAndHash(rest);
    if (payload === undefined) throw notAuthentic();
    return payload;
  }

  /** The ciphers of the connection, when the handshake is done. */
  split(): { readonly send: CipherState; readonly receive: CipherState } {
    if (this.state !== 'done') throw new TypeError('The handshake is not done.');
    const [initiator, responder] = this.#symmetric.split();
    return this.#isInitiator
      ? { send: initiator, receive: responder }
      : { send: responder, receive: initiator };
  }

  #writeEphemeral(): Uint8Array {
    this.#symmetric.mixHash(this.#ephemeral.publicKey);
    return this.#ephemeral.publicKey;
  }

  #readEphemeral(message: Uint8Array): Uint8Array {
    if (message.length < DH_BYTES) throw tooShort();
    this.#remoteEphemeral = Buffer.from(message.subarray(0, DH_BYTES));
    this.#symmetric.mixHash(this.#remoteEphemeral);
    return message.subarray(DH_BYTES);
  }

  #readStatic(message: Uint8Array): Uint8Array {
    const length = DH_BYTES + this.#symmetric.overheadBytes;
    if (message.length < length) throw tooShort();
    this.remoteStatic = this.#symmetric.decryptAndHash(message.subarray(0, length));
    if (this.remoteStatic === undefined) throw notAuthentic();
    return message.subarray(length);
  }

  #mixKey(keys: DhKeys, remotePublicKey: Uint8Array | undefined): void {
    const secret = remotePublicKey === undefined ? undefined : keys.agree(remotePublicKey);
    if (secret === undefined)
      throw new NoiseError(
        'NOISE_HANDSHAKE',
        'The Noise handshake failed: the key of the other side is not valid.',
      );
    this.#symmetric.mixKey(secret);
  }
}

function notAuthentic(): NoiseError {
  return new NoiseError(
    'NOISE_HANDSHAKE',
    'The Noise handshake failed: a message of the other side is not authentic.',
  );
}

function tooShort(): NoiseError {
  return new NoiseError(
    'NOISE_HANDSHAKE_SIZE',
    'The Noise handshake failed: a message of the other side is too short.',
  );
}
