// The swarm key of reference devices, as a connection protector of libp2p: XSalsa20 below Noise, after each side has sent
// a random nonce in plain text. It shares no code with our layers, which are tested against it. The stock protector,
// `@libp2p/pnet`, is too slow for load tests, and its cipher throws under load; `stock-psk.test.ts` compares both.
// https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import type {
  AbortOptions,
  ConnectionProtector,
  MultiaddrConnection,
  StreamCloseEvent,
  StreamMessageEvent,
} from '@libp2p/interface';
import { AbstractMultiaddrConnection, byteStream, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';

/** The first message of every libp2p peer. */
export const GREETING = Buffer.from('\x13/multistream/1.0.0\n');

/** Length of the nonce, in bytes. */
const NONCE_BYTES = 24;

/** Deadline for the nonce of the other side, in milliseconds; the machine may be busy. */
const NONCE_MS = 30_000;

/** The functions of libsodium that are used here. The package has no types. */
interface Sodium {
  readonly crypto_stream_xor_STATEBYTES: number;
  crypto_stream_xor_init(state: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  crypto_stream_xor_update(state: Uint8Array, target: Uint8Array, source: Uint8Array): void;
}

const sodium = createRequire(import.meta.url)('sodium-native') as Sodium;

/** Writes `source` XOR keystream into `target`, which has the same length. Both may be the same memory. */
export type Xor = (target: Uint8Array, source: Uint8Array) => void;

/** The keystream of one direction of a connection. */
export function createKeystream(key: Uint8Array, nonce: Uint8Array): Xor {
  const state = Buffer.alloc(sodium.crypto_stream_xor_STATEBYTES);
  sodium.crypto_stream_xor_init(state, nonce, key);
  return (target, source) => {
    if (source.length > 0) sodium.crypto_stream_xor_update(state, target, source);
  };
}

/** The 32 bytes of a swarm key. */
export interface StockKey {
  readonly bytes: Uint8Array;
}

/** Creates the `connectionProtector` of libp2p for a swarm key. */
export function createStockProtector(key: StockKey): () => ConnectionProtector {
  return () => ({
    async protect(connection: MultiaddrConnection, { signal }: AbortOptions = {}) {
      const nonce = randomBytes(NONCE_BYTES);
      const deadline = AbortSignal.timeout(NONCE_MS);
      const signals = AbortSignal.any(signal === undefined ? [deadline] : [deadline, signal]);
      const remoteNonce = await exchangeNonces(connection, nonce, signals);
      return new ProtectedConnection(
        connection,
        createKeystream(key.bytes, remoteNonce),
        createKeystream(key.bytes, nonce),
      );
    },
  });
}

async function exchangeNonces(
  connection: MultiaddrConnection,
  nonce: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = byteStream(connection);
  const [remoteNonce] = await Promise.all([
    bytes.read({ signal, bytes: NONCE_BYTES }),
    bytes.write(nonce, { signal }),
  ]);
  bytes.unwrap();
  return remoteNonce.subarray();
}

/** A connection that decrypts bytes in place and encrypts them into the buffer that is sent. */
class ProtectedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection;
  readonly #inbound: Xor;
  readonly #outbound: Xor;
  /** Bytes of the greeting that have arrived and matched. */
  #greetedBytes = 0;
  /** The failure before the greeting, if there was one. */
  #failure: Error | undefined;

  constructor(connection: MultiaddrConnection, inbound: Xor, outbound: Xor) {
    super({
      remoteAddr: connection.remoteAddr,
      direction: connection.direction,
      log: connection.log.newScope('psk'),
      inactivityTimeout: connection.inactivityTimeout,
      maxReadBufferLength: connection.maxReadBufferLength,
    });
    this.#connection = connection;
    this.#inbound = inbound;
    this.#outbound = outbound;
    connection.addEventListener('message', (event) => this.#onMessage(event));
    connection.addEventListener('drain', () => this.onMuxerDrain());
    connection.addEventListener('close', (event) => this.#onClose(event));
  }

  #onMessage({ data }: StreamMessageEvent): void {
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      if (this.status !== 'open') return;
      // Nothing else refers to a chunk that came from the socket, so it is decrypted in place.
      this.#inbound(chunk, chunk);
      if (this.#greetedBytes < GREETING.length && !this.#isGreeting(chunk)) {
        this.#fail(new Error('The other side has another swarm key.'));
        return;
      }
      this.onData(chunk);
    }
  }

  #isGreeting(chunk: Uint8Array): boolean {
    const expected = GREETING.subarray(this.#greetedBytes, this.#greetedBytes + chunk.length);
    this.#greetedBytes += expected.length;
    return expected.compare(chunk, 0, expected.length) === 0;
  }

  #onClose({ error, local }: StreamCloseEvent): void {
    if (this.#greetedBytes < GREETING.length && this.status === 'open')
      this.#fail(
        new Error('The other side closed the connection at once; most likely it has another swarm key.', {
          cause: error,
        }),
      );
    else if (error === undefined) this.onTransportClosed();
    else if (local === true) this.abort(error);
    else this.onRemoteReset();
  }

  #fail(failure: Error): void {
    this.#failure = failure;
    this.abort(failure);
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    // If the connection failed before the first write, the base class would report only that it is closed.
    if (this.#failure !== undefined) throw this.#failure;
    return super.send(data);
  }

  override sendData(data: Uint8ArrayList): SendResult {
    // The bytes may be shared with the caller (protocol names are constants), so they are not changed in place.
    const sentBytes = data.byteLength;
    const encrypted = Buffer.allocUnsafe(sentBytes);
    let offset = 0;
    for (const chunk of data) {
      this.#outbound(encrypted.subarray(offset, offset + chunk.length), chunk);
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
