// Why a Noise connection ends. The codes are for logs and metric labels.

/** What the other side has done wrong. */
export type NoiseFailure =
  /** A message of the handshake cannot be decrypted, or its key is not valid. */
  | 'NOISE_HANDSHAKE'
  /** A message of the handshake is too long or too short. */
  | 'NOISE_HANDSHAKE_SIZE'
  /** The payload of the handshake is not a valid message, or its key has a type or a size that is not supported. */
  | 'NOISE_PAYLOAD'
  /** The Noise key is not signed by the key of the peer. */
  | 'NOISE_SIGNATURE'
  /** The peer is another one than was dialed. */
  | 'NOISE_UNEXPECTED_PEER'
  /** Both sides offered muxers in the handshake, and have no muxer in common. */
  | 'NOISE_NO_COMMON_MUXER'
  /** A message is not authentic, or too short. */
  | 'NOISE_MESSAGE'
  /** The connection ended inside a message. */
  | 'NOISE_TRUNCATED'
  /** The number of messages that one key may encrypt is reached. */
  | 'NOISE_MESSAGES_EXHAUSTED';

/** The connection ends because of `code`. */
export class NoiseError extends Error {
  override readonly name = 'NoiseError';
  readonly code: NoiseFailure;

  constructor(code: NoiseFailure, message: string) {
    super(message);
    this.code = code;
  }
}
