// The handshake limiter for connections of js-libp2p, which have events and whose protector waits with promises.
import type { MultiaddrConnection } from '@libp2p/interface';
import { clientNetwork } from '../shared/client-network.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';
import { readsOf } from './adapters/layer-connection.ts';
import type { HandshakeLimiter, PendingConnection } from './handshake-limiter.ts';

/** The connection closed before its turn. */
export class NoTurnError extends Error {
  override readonly name = 'NoTurnError';
  readonly code = 'NO_TURN';

  constructor() {
    super('The connection closed before the turn of its handshake.');
  }
}

/** A connection of the library as the limiter sees it. */
export class LibraryPending implements PendingConnection {
  readonly network: string;
  /** For the log. */
  readonly address: string;
  #messages = 0;
  readonly #connection: MultiaddrConnection;
  readonly #onMessage = (): void => void (this.#messages += 1);

  constructor(connection: MultiaddrConnection) {
    this.#connection = connection;
    this.address = connection.remoteAddr.toString();
    this.network = clientNetwork(connection.remoteAddr.getComponents()[0]?.value ?? '');
  }

  /** A socket of ours has no events for what the layers above it read. */
  get reads(): number {
    return this.#messages + readsOf(this.#connection);
  }

  /** Counts messages from now on. The first listener of a connection takes its bytes, so the protector has to be there. */
  startCounting(): void {
    this.#connection.addEventListener('message', this.#onMessage);
  }

  stopCounting(): void {
    this.#connection.removeEventListener('message', this.#onMessage);
  }

  onceClosed(callback: () => void): void {
    this.#connection.addEventListener('close', callback, { once: true });
  }

  abort(error: Error): void {
    this.#connection.abort(error);
  }
}

export interface LibraryHandshakes {
  begin(connection: MultiaddrConnection): void;
  authenticated(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
  /** Resolves when it is the turn of an authenticated connection. @throws NoTurnError when it closes before */
  admit(connection: MultiaddrConnection): Promise<void>;
  finish(connection: MultiaddrConnection): void;
}

export function createLibraryHandshakes(limiter: HandshakeLimiter<LibraryPending>): LibraryHandshakes {
  const pending = new WeakMap<MultiaddrConnection, LibraryPending>();
  return {
    begin(connection) {
      const handshake = new LibraryPending(connection);
      pending.set(connection, handshake);
      limiter.begin(handshake);
    },
    authenticated(outcome, connection) {
      const handshake = pending.get(connection);
      if (handshake !== undefined) limiter.authenticated(outcome, handshake);
    },
    async admit(connection) {
      const handshake = pending.get(connection);
      if (handshake === undefined || connection.status !== 'open') throw new NoTurnError();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      handshake.startCounting();
      handshake.onceClosed(() => reject(new NoTurnError()));
      limiter.admit(handshake, resolve);
      return promise;
    },
    finish(connection) {
      const handshake = pending.get(connection);
      if (handshake === undefined) return;
      handshake.stopCounting();
      limiter.finish(handshake);
    },
  };
}
