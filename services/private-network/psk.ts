// The connection protector of a private network: every byte below Noise is XSalsa20-encrypted with the swarm key,
// after each side has sent a random nonce in the clear.
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
import { type Cipher, type Keystream, NONCE_BYTES } from './cipher.ts';
import type { SwarmKey } from './key.ts';

/** How long the other side may take to send its nonce, in milliseconds: two slow round trips. */
const NONCE_TIMEOUT_MS = 5_000;

/** What a peer may send along with its nonce before we have sent ours, in bytes: four full socket reads. */
const MAX_EARLY_BYTES = 256 * 1024;

/** What every libp2p peer sends first on a fresh connection; with another swarm key it decrypts to noise. */
const GREETING = Buffer.from('\x13/multistream/1.0.0\n');

/** How the protection of a connection went; bounded, so that it can be a metric label. */
export type ProtectionOutcome = 'ok' | 'wrong_key' | 'no_nonce' | 'no_greeting';

/** The other side does not have our swarm key. */
export class SwarmKeyMismatchError extends Error {
  override readonly name = 'SwarmKeyMismatchError';
  readonly code = 'SWARM_KEY_MISMATCH';

  constructor() {
    super('the other side does not have the same swarm key');
  }
}

/**
 * The other side closed the connection before its greeting. A listener whose swarm key is another one does
 * exactly that, because our greeting is noise to it.
 */
export class NoGreetingError extends Error {
  override readonly name = 'NoGreetingError';
  readonly code = 'NO_GREETING';

  constructor(cause: unknown) {
    super('the other side closed the connection at once: most likely it has another swarm key', { cause });
  }
}

/** The other side closed the connection, or let the time pass, without sending a nonce. */
export class NonceTimeoutError extends Error {
  override readonly name = 'NonceTimeoutError';
  readonly code = 'NO_NONCE';

  constructor(cause: unknown) {
    super('the other side sent no nonce: it may not use a swarm key at all', { cause });
  }
}

export interface ProtectorOptions {
  readonly key: SwarmKey;
  readonly cipher: Cipher;
  /** Called once for each connection, when it is known how its protection went. */
  readonly onOutcome?: (outcome: ProtectionOutcome, connection: MultiaddrConnection) => void;
}

/** Makes libp2p's `connectionProtector` for a swarm key. */
export function createProtector(
  options: ProtectorOptions,
): (components: { logger: ComponentLogger }) => ConnectionProtector {
  const { key, cipher } = options;
  return () => ({
    async protect(connection: MultiaddrConnection, { signal }: AbortOptions = {}) {
      const onOutcome = (outcome: ProtectionOutcome): void => options.onOutcome?.(outcome, connection);
      const nonce = randomBytes(NONCE_BYTES);
      const remoteNonce = await exchangeNonces(connection, nonce, signal).catch((error: unknown) => {
        onOutcome('no_nonce');
        throw new NonceTimeoutError(error);
      });
      const inbound = cipher.keystream(key.bytes, remoteNonce);
      const outbound = cipher.keystream(key.bytes, nonce);
      return new ProtectedConnection(connection, { inbound, outbound, onOutcome });
    },
  });
}

async function exchangeNonces(
  connection: MultiaddrConnection,
  nonce: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const deadline = AbortSignal.timeout(NONCE_TIMEOUT_MS);
  const options = { signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) };
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

/** A connection whose bytes are decrypted where they arrived and encrypted into the one buffer that is sent. */
class ProtectedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection;
  readonly #inbound: Keystream;
  readonly #outbound: Keystream;
  readonly #onOutcome: (outcome: ProtectionOutcome) => void;
  /** How many bytes of the greeting have arrived and were right. */
  #greeted = 0;
  /** Why it ended before the greeting. */
  #failure: SwarmKeyMismatchError | NoGreetingError | undefined;

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

  #onMessage({ data }: StreamMessageEvent): void {
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      if (this.status !== 'open') return;
      // The chunk came from the socket and nobody else holds it, so it is decrypted in place.
      this.#inbound.xor(chunk, chunk);
      if (this.#greeted < GREETING.length && !this.#isGreeting(chunk)) {
        this.#fail('wrong_key', new SwarmKeyMismatchError());
        return;
      }
      this.onData(chunk);
    }
  }

  #isGreeting(chunk: Uint8Array): boolean {
    const expected = GREETING.subarray(this.#greeted, this.#greeted + chunk.length);
    if (expected.compare(chunk, 0, expected.length) !== 0) return false;
    this.#greeted += expected.length;
    if (this.#greeted === GREETING.length) this.#onOutcome('ok');
    return true;
  }

  #onClose({ error, local }: StreamCloseEvent): void {
    if (this.#greeted < GREETING.length && this.status === 'open')
      this.#fail('no_greeting', new NoGreetingError(error));
    else if (error === undefined) this.onTransportClosed();
    else if (local === true) this.abort(error);
    else this.onRemoteReset();
  }

  #fail(outcome: ProtectionOutcome, failure: SwarmKeyMismatchError | NoGreetingError): void {
    this.#onOutcome(outcome);
    this.#failure = failure;
    this.abort(failure);
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    // It may have ended before anything was written; a stream that is closed would only say that it is.
    if (this.#failure !== undefined) throw this.#failure;
    return super.send(data);
  }

  override sendData(data: Uint8ArrayList): SendResult {
    // What comes from above may be shared (protocol names are constants), so it is never changed in place;
    // encrypting into one fresh buffer also joins the pieces for the socket.
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
