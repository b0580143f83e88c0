// The connection protector of a private network: all bytes below Noise are encrypted with XSalsa20 and the swarm key,
// after each side has sent a random nonce in plain text.
// https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
import { randomBytes } from 'node:crypto';
import type {
  AbortOptions,
  ComponentLogger,
  ConnectionProtector,
  MultiaddrConnection,
  StreamCloseEvent,
  StreamMessageEvent,
} from '@libp2p/interface';
import { AbstractMultiaddrConnection, byteStream, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';
import { anySignal } from '../shared/signals.ts';
import { type Cipher, type Keystream, NONCE_BYTES } from '../wire/cipher.ts';
import { GREETING } from '../wire/first-bytes.ts';
import {
  NoGreetingError,
  NonceTimeoutError,
  type ProtectionOutcome,
  SwarmKeyMismatchError,
} from '../wire/psk-outcomes.ts';
import type { SwarmKey } from './key.ts';

/** Maximum bytes that are read of a connection before it is admitted; it sends fewer until we respond. */
const MAX_HELD_BYTES = 4 * 1024;

/** Default deadline for the nonce of the other side, in milliseconds; sufficient for two slow round trips. */
const NONCE_MS = 5_000;

/** Maximum bytes that are received with the nonce before our nonce is sent: four full socket reads. */
const MAX_EARLY_BYTES = 256 * 1024;

export interface ProtectorOptions {
  readonly key: SwarmKey;
  readonly cipher: Cipher;
  /** Called once per connection, as soon as the outcome is known. */
  readonly onOutcome?: (outcome: ProtectionOutcome, connection: MultiaddrConnection) => void;
  /** Deadline for the nonce of the other side, in milliseconds. Default 5,000. */
  readonly nonceMs?: number;
  /**
   * Called when the other side of an inbound connection has proved the swarm key; the handshake continues when it resolves, and ends when it
   * rejects. Default: it continues at once.
   */
  readonly admit?: (connection: MultiaddrConnection) => Promise<void>;
}

/** Creates the `connectionProtector` of libp2p for a swarm key. */
export function createProtector(
  options: ProtectorOptions,
): (components: { logger: ComponentLogger }) => ConnectionProtector {
  const { key, cipher } = options;
  return () => ({
    async protect(connection: MultiaddrConnection, { signal }: AbortOptions = {}) {
      const onOutcome = (outcome: ProtectionOutcome): void => options.onOutcome?.(outcome, connection);
      const nonce = randomBytes(NONCE_BYTES);
      const nonceSignal = anySignal(signal, AbortSignal.timeout(options.nonceMs ?? NONCE_MS));
      const remoteNonce = await exchangeNonces(connection, nonce, nonceSignal).catch((error: unknown) => {
        onOutcome('no_nonce');
        throw new NonceTimeoutError(error);
      });
      const inbound = cipher.keystream(key.bytes, remoteNonce);
      const outbound = cipher.keystream(key.bytes, nonce);
      const protectedConnection = new ProtectedConnection(connection, { inbound, outbound, onOutcome });
      // Whoever opens a connection speaks first, so the other side would wait for us as well.
      if (options.admit !== undefined && connection.direction === 'inbound') {
        await protectedConnection.greeted();
        await options.admit(connection);
        protectedConnection.release();
      }
      return protectedConnection;
    },
  });
}

async function exchangeNonces(
  connection: MultiaddrConnection,
  nonce: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const options = { signal };
  const bytes = byteStream(connection, { maxBufferSize: MAX_EARLY_BYTES });
  const [remoteNonce] = await Promise.all([
    bytes.read({ ...options, bytes: NONCE_BYTES }),
    bytes.write(nonce, options),
  ]);
  bytes.unwrap();
  return remoteNonce.subarray();
}

interface Protection {
  readonly inbound: Keystream;
  readonly outbound: Keystream;
  readonly onOutcome: (outcome: ProtectionOutcome) => void;
}

/** A connection that decrypts bytes in place and encrypts them into the buffer that is sent. */
class ProtectedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection;
  readonly #inbound: Keystream;
  readonly #outbound: Keystream;
  readonly #onOutcome: (outcome: ProtectionOutcome) => void;
  /** Bytes of the greeting that have arrived and matched. */
  #greetedBytes = 0;
  /** The failure before the greeting, if there was one. */
  #failure: SwarmKeyMismatchError | NoGreetingError | undefined;
  /** Settled by the greeting, or by the failure before it. */
  #greeting: PromiseWithResolvers<void> | undefined;
  /** Bytes that arrived before the connection was admitted; `undefined` when it is admitted. */
  #heldBytes: number | undefined;

  constructor(connection: MultiaddrConnection, protection: Protection) {
    super({
      remoteAddr: connection.remoteAddr,
      direction: connection.direction,
      log: connection.log.newScope('psk'),
      inactivityTimeout: connection.inactivityTimeout,
      maxReadBufferLength: connection.maxReadBufferLength,
    });
    this.#connection = connection;
    this.#inbound = protection.inbound;
    this.#outbound = protection.outbound;
    this.#onOutcome = protection.onOutcome;
    connection.addEventListener('message', (event) => this.#onMessage(event));
    connection.addEventListener('drain', () => this.onMuxerDrain());
    connection.addEventListener('close', (event) => this.#onClose(event));
  }

  /** Resolves when the greeting has arrived. Call it at once; from then on, few bytes are read until `release`. */
  async greeted(): Promise<void> {
    this.#greeting = Promise.withResolvers();
    this.#heldBytes = 0;
    await this.#greeting.promise;
  }

  /** Reads on. */
  release(): void {
    const isPaused = (this.#heldBytes ?? 0) > MAX_HELD_BYTES;
    this.#heldBytes = undefined;
    if (isPaused && this.status === 'open') this.#connection.resume();
  }

  #onMessage({ data }: StreamMessageEvent): void {
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      if (this.status !== 'open') return;
      // Nothing else refers to a chunk that came from the socket, so it is decrypted in place.
      this.#inbound.xor(chunk, chunk);
      if (this.#greetedBytes < GREETING.length && !this.#isGreeting(chunk)) {
        this.#fail('wrong_key', new SwarmKeyMismatchError());
        return;
      }
      this.onData(chunk);
      // Reading goes on until then, because a paused connection does not notice that the other side closes it.
      if (this.#heldBytes === undefined) continue;
      this.#heldBytes += chunk.length;
      if (this.#heldBytes > MAX_HELD_BYTES) this.#connection.pause();
    }
  }

  #isGreeting(chunk: Uint8Array): boolean {
    const expected = GREETING.subarray(this.#greetedBytes, this.#greetedBytes + chunk.length);
    if (expected.compare(chunk, 0, expected.length) !== 0) return false;
    this.#greetedBytes += expected.length;
    if (this.#greetedBytes === GREETING.length) {
      this.#onOutcome('ok');
      this.#greeting?.resolve();
    }
    return true;
  }

  #onClose({ error, local }: StreamCloseEvent): void {
    if (this.#greetedBytes < GREETING.length && this.status === 'open')
      this.#fail('no_greeting', new NoGreetingError(error));
    else if (error === undefined) this.onTransportClosed();
    else if (local === true) this.abort(error);
    else this.onRemoteReset();
  }

  #fail(outcome: ProtectionOutcome, failure: SwarmKeyMismatchError | NoGreetingError): void {
    this.#onOutcome(outcome);
    this.#failure = failure;
    this.#greeting?.reject(failure);
    this.abort(failure);
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    // If the connection failed before the first write, the base class would report only that it is closed.
    if (this.#failure !== undefined) throw this.#failure;
    return super.send(data);
  }

  override sendData(data: Uint8ArrayList): SendResult {
    // The bytes may be shared with the caller (protocol names are constants), so they are not changed in place.
    // Encryption into one new buffer also joins the chunks for the socket.
    const sentBytes = data.byteLength;
    const encrypted = Buffer.allocUnsafe(sentBytes);
    let offset = 0;
    for (const chunk of data) {
      this.#outbound.xor(encrypted.subarray(offset, offset + chunk.length), chunk);
      offset += chunk.length;
    }
    return { sentBytes, canSendMore: this.#connection.send(encrypted) };
  }

  override sendReset(error: Error): void {
    this.#connection.abort(error);
  }

  override sendPause(): void {
    this.#connection.pause();
  }

  override sendResume(): void {
    this.#connection.resume();
  }

  override async sendClose(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options);
  }
}
