// The swarm key: all bytes above this layer are encrypted with XSalsa20, after each side has sent a random nonce in plain
// text. https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
// The protocol does not tell whether both sides have the same key. As every libp2p connection begins with the same message,
// it is compared here, so that nobody without the key reaches the layers above.
import { randomFillSync } from 'node:crypto';
import { type Cipher, type Keystream, NONCE_BYTES } from './cipher.ts';
import { FIRST_BYTES, GREETING, recognizeFirstBytes } from './first-bytes.ts';
import type { BlockDuplex, ByteSink, OutFilter } from './layers.ts';
import {
  EarlyBytesError,
  ForeignProtocolError,
  NoGreetingError,
  NonceTimeoutError,
  type ProtectionOutcome,
  SwarmKeyMismatchError,
} from './psk-outcomes.ts';

/**
 * Maximum bytes that are kept of a connection until it is admitted: the greeting, the name of the next protocol, and its
 * first message. The other side then waits for us, so the connection is aborted above this limit.
 */
export const MAX_HELD_BYTES = 4 * 1024;

const NO_BYTES = Buffer.alloc(0);

/** The layer above until there is one, and after the end. */
const NOBODY: ByteSink = { onBytes() {}, onReadEnd() {}, onWritable() {}, onClose() {} };

export interface PskOptions {
  /** The swarm key: 32 bytes. */
  readonly key: Uint8Array;
  readonly cipher: Cipher;
  /** Whether the other side opened the connection. Then it sends its nonce first. */
  readonly isInbound: boolean;
  /** Whether the layer above gets nothing until `release`. Default false. */
  readonly isHeld?: boolean;
  /**
   * Called once, as soon as the outcome is known; after `ok`, which may call `release`, also with `early_bytes` if that is
   * why the connection ends.
   */
  readonly onOutcome?: ((outcome: ProtectionOutcome, layer: PskLayer) => void) | undefined;
}

/**
 * `nonce` and `greeting`: what is expected. `held`: the other side has the swarm key, and the layer above waits for
 * `release`. `over`: failed or closed.
 */
type State = 'nonce' | 'greeting' | 'held' | 'open' | 'over';

/** Random bytes for the next nonces: one call of the system for many costs hardly more than one for each. */
const nonces = Buffer.allocUnsafeSlow(128 * NONCE_BYTES);
let noncesUsed = nonces.length;

/** A nonce that nobody else gets. It is valid until others are taken. */
function takeNonce(): Buffer {
  if (noncesUsed === nonces.length) {
    randomFillSync(nonces);
    noncesUsed = 0;
  }
  noncesUsed += NONCE_BYTES;
  return nonces.subarray(noncesUsed - NONCE_BYTES, noncesUsed);
}

/** A class, because there is one object for each connection, with as little memory as possible. */
export class PskLayer implements BlockDuplex, ByteSink, OutFilter {
  sink: ByteSink = NOBODY;
  /** Not used: this layer is the filter. */
  filter: OutFilter | undefined;
  readonly #below: BlockDuplex;
  readonly #options: PskOptions;
  #state: State = 'nonce';
  /** The first bytes of the other side, which are its nonce, until the greeting. */
  #first: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Bytes that have arrived of the nonce, then of the greeting. */
  #arrived = 0;
  #inbound: Keystream | undefined;
  #outbound: Keystream | undefined;
  /** Bytes at the start of ours that are sent in plain text: the nonce. */
  #plainBytes = NONCE_BYTES;
  #held: Buffer | undefined;

  constructor(below: BlockDuplex, options: PskOptions) {
    this.#below = below;
    this.#options = options;
    below.sink = this;
    below.filter = this;
    // The other side answers a nonce with its own, and waits for it before it sends more. So ours is not late if it is
    // sent in answer, and then nobody else gets bytes.
    if (!options.isInbound) this.#sendNonce();
  }

  get isBlocked(): boolean {
    return this.#below.isBlocked;
  }

  get unsentBytes(): number {
    return this.#below.unsentBytes;
  }

  get out(): Buffer {
    return this.#below.out;
  }

  get at(): number {
    return this.#below.at;
  }

  reserve(length: number): void {
    if (this.#outbound === undefined) this.#sendNonce();
    this.#below.reserve(length);
  }

  commit(length: number): void {
    this.#below.commit(length);
  }

  write(buffer: Buffer, start: number, end: number): void {
    if (this.#outbound === undefined) this.#sendNonce();
    this.#below.write(buffer, start, end);
  }

  pause(): void {
    this.#below.pause();
  }

  resume(): void {
    this.#below.resume();
  }

  end(): void {
    this.#below.end();
  }

  abort(error: Error): void {
    this.#below.abort(error);
  }

  /** Hands up what has arrived since the greeting, and what follows. Without effect after the end. */
  release(): void {
    if (this.#state !== 'held') return;
    this.#state = 'open';
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    try {
      this.sink.onBytes(held, 0, held.length);
      this.sink.onReadEnd();
    } catch (error) {
      this.abort(error instanceof Error ? error : new Error(String(error)));
    }
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'open') {
      this.#decrypt(buffer, start, end);
      this.sink.onBytes(buffer, start, end);
    } else if (this.#state === 'nonce') {
      const encrypted = this.#readNonce(buffer, start, end);
      if (encrypted < end) this.onBytes(buffer, encrypted, end);
    } else if (this.#state !== 'over') {
      this.#decrypt(buffer, start, end);
      if (this.#state === 'greeting') this.#readGreeting(buffer, start, end);
      else this.#hold(buffer, start, end);
    }
  }

  onReadEnd(): void {
    if (this.#state === 'open') this.sink.onReadEnd();
  }

  onWritable(): void {
    this.sink.onWritable();
  }

  onClose(error: Error | undefined): void {
    const state = this.#state;
    if (state === 'nonce') {
      this.#report('no_nonce');
      this.#finish(this.#foreignError() ?? new NonceTimeoutError(error));
    } else if (state === 'greeting') {
      this.#report('no_greeting');
      this.#finish(this.#foreignError() ?? new NoGreetingError(error));
    } else {
      this.#finish(error);
    }
  }

  /** Encrypts what is sent, except the nonce. */
  onFlush(buffer: Buffer, start: number, end: number, target: Buffer): void {
    const plain = Math.min(this.#plainBytes, end - start);
    if (plain > 0) {
      buffer.copy(target, 0, start, start + plain);
      this.#plainBytes -= plain;
    }
    if (start + plain < end)
      this.#outbound?.xor(target.subarray(plain, end - start), buffer.subarray(start + plain, end));
  }

  #sendNonce(): void {
    const { key, cipher } = this.#options;
    const nonce = takeNonce();
    this.#outbound = cipher.keystream(key, nonce);
    this.#below.write(nonce, 0, nonce.length);
  }

  /** Returns where the bytes after the nonce begin. */
  #readNonce(buffer: Buffer, start: number, end: number): number {
    const length = Math.min(NONCE_BYTES - this.#arrived, end - start);
    buffer.copy(this.#first, this.#arrived, start, start + length);
    this.#arrived += length;
    if (this.#arrived === NONCE_BYTES) {
      const { key, cipher } = this.#options;
      this.#inbound = cipher.keystream(key, this.#first.subarray(0, NONCE_BYTES));
      this.#state = 'greeting';
      this.#arrived = 0;
      if (this.#outbound === undefined) this.#sendNonce();
    }
    return start + length;
  }

  #decrypt(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    this.#inbound?.xor(bytes, bytes);
  }

  /** Compares decrypted bytes. When the greeting is complete, it is handed up with what follows. */
  #readGreeting(buffer: Buffer, start: number, end: number): void {
    const arrived = this.#arrived;
    const length = Math.min(GREETING.length - arrived, end - start);
    if (GREETING.compare(buffer, start, start + length, arrived, arrived + length) !== 0) {
      this.#report('wrong_key');
      const failure = this.#foreignError() ?? new SwarmKeyMismatchError();
      this.#state = 'over';
      this.#below.abort(failure);
      return;
    }
    this.#arrived += length;
    if (this.#arrived < GREETING.length) return;
    this.#first = NO_BYTES;
    this.#state = 'held';
    if (this.#options.isHeld !== true) this.#state = 'open';
    this.#options.onOutcome?.('ok', this);
    if (arrived > 0) this.#handUp(Buffer.from(GREETING.subarray(0, arrived)), 0, arrived);
    this.#handUp(buffer, start, end);
  }

  #handUp(buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'open') this.sink.onBytes(buffer, start, end);
    else if (this.#state === 'held') this.#hold(buffer, start, end);
  }

  // Reading goes on, because a paused connection does not notice that the other side closes it.
  #hold(buffer: Buffer, start: number, end: number): void {
    const before = this.#held ?? NO_BYTES;
    if (before.length + end - start > MAX_HELD_BYTES) {
      this.#options.onOutcome?.('early_bytes', this);
      this.abort(new EarlyBytesError(MAX_HELD_BYTES));
      return;
    }
    this.#held = Buffer.concat([before, buffer.subarray(start, end)]);
  }

  /** The error if the first bytes are those of another protocol. */
  #foreignError(): ForeignProtocolError | undefined {
    const foreign = recognizeFirstBytes(this.#firstBytes());
    return foreign === undefined ? undefined : new ForeignProtocolError(foreign);
  }

  #firstBytes(): Buffer {
    return this.#state === 'nonce' ? this.#first.subarray(0, this.#arrived) : this.#first;
  }

  #report(failure: Exclude<ProtectionOutcome, 'ok'>): void {
    this.#options.onOutcome?.(recognizeFirstBytes(this.#firstBytes()) ?? failure, this);
  }

  #finish(error: Error | undefined): void {
    const { sink } = this;
    this.#state = 'over';
    this.#held = undefined;
    this.sink = NOBODY;
    sink.onClose(error);
  }
}
