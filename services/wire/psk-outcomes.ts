// What can become of the protection of a connection with the swarm key: outcomes for metrics, and errors for the rest.
import { FOREIGN_PROTOCOLS, type ForeignProtocol } from './first-bytes.ts';

/** Outcomes of the protection of a connection. The keys are values of metric labels; the docs are their meanings. */
export const PROTECTION_OUTCOMES = {
  ok: { doc: 'The other side has the same swarm key.' },
  wrong_key: { doc: 'The other side has another swarm key.' },
  no_nonce: { doc: 'The other side sent no nonce: it is no libp2p peer, such as a health check of TCP.' },
  no_greeting: {
    doc: 'The other side closed the connection before its first message. Most likely it has another swarm key.',
  },
  early_bytes: {
    doc: 'The other side has the swarm key, and sent more than 4 KiB before its handshake began.',
  },
  ...FOREIGN_PROTOCOLS,
} as const satisfies Record<string, { readonly doc: string }>;
export type ProtectionOutcome = keyof typeof PROTECTION_OUTCOMES;

/** The first message did not decrypt to the greeting. */
export class SwarmKeyMismatchError extends Error {
  override readonly name = 'SwarmKeyMismatchError';
  readonly code = 'SWARM_KEY_MISMATCH';

  constructor() {
    super('The other side has another swarm key.');
  }
}

/** The other side sent the first bytes of another protocol. */
export class ForeignProtocolError extends Error {
  override readonly name = 'ForeignProtocolError';
  readonly code = 'FOREIGN_PROTOCOL';

  constructor(protocol: ForeignProtocol) {
    super(FOREIGN_PROTOCOLS[protocol].doc);
  }
}

/**
 * The other side closed the connection before its greeting. A listener with another swarm key does so when it cannot
 * decrypt our greeting.
 */
export class NoGreetingError extends Error {
  override readonly name = 'NoGreetingError';
  readonly code = 'NO_GREETING';

  constructor(cause: unknown) {
    super('The other side closed the connection at once; most likely it has another swarm key.', { cause });
  }
}

/** The other side closed the connection, or the deadline passed, before it sent a nonce. */
export class NonceTimeoutError extends Error {
  override readonly name = 'NonceTimeoutError';
  readonly code = 'NO_NONCE';

  constructor(cause: unknown) {
    super('The other side sent no nonce; most likely it uses no swarm key.', { cause });
  }
}

/** The other side sent more before it was admitted than the start of a handshake. */
export class EarlyBytesError extends Error {
  override readonly name = 'EarlyBytesError';
  readonly code = 'EARLY_BYTES';

  constructor(maxBytes: number) {
    super(`The other side sent more than ${maxBytes} bytes before its handshake began.`);
  }
}
