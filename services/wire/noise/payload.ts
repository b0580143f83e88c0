// The payload with which a peer proves its identity in a Noise handshake: `NoiseHandshakePayload` of the specification
// (https://github.com/libp2p/specs/tree/master/noise#the-libp2p-handshake-payload), with the extension for the early
// negotiation of the muxer (https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md).
import { describeError } from '../../shared/errors.ts';
import { bytesField, ProtobufReader } from '../protobuf.ts';
import type { NoiseCrypto } from './crypto.ts';
import { NoiseError } from './errors.ts';
import { parsePublicKey, type PublicKey } from './public-key.ts';

/** Fields of `NoiseHandshakePayload` and of `NoiseExtensions`. */
const IDENTITY_KEY = 1;
const IDENTITY_SIGNATURE = 2;
const EXTENSIONS = 4;
const STREAM_MUXERS = 2;

/** Precedes the Noise key in the signed bytes. */
const SIGNED_PREFIX = Buffer.from('noise-libp2p-static-key:');

/** Maximum muxers that are read from a payload. Further ones are ignored: implementations offer one or two. */
const MAX_MUXERS = 16;

/** Maximum length of the name of a muxer, in bytes. Longer ones are ignored. */
const MAX_MUXER_BYTES = 128;

/** Maximum length of a signature, in bytes: that of RSA with 8,192 bits. */
const MAX_SIGNATURE_BYTES = 1024;

/** Who the other side is, and what it offers. */
export interface RemoteIdentity {
  readonly key: PublicKey;
  /** Muxers in the order of its preference; empty if it negotiates them later. */
  readonly muxers: readonly string[];
}

/** The bytes that the key of the peer signs. */
export function signedBytes(staticKey: Uint8Array): Buffer {
  return Buffer.concat([SIGNED_PREFIX, staticKey]);
}

export function encodePayload(
  publicKey: Uint8Array,
  signature: Uint8Array,
  muxers: readonly string[],
): Buffer {
  const parts = [bytesField(IDENTITY_KEY, publicKey), bytesField(IDENTITY_SIGNATURE, signature)];
  const extensions = muxers.map((muxer) => bytesField(STREAM_MUXERS, Buffer.from(muxer)));
  if (extensions.length > 0) parts.push(bytesField(EXTENSIONS, Buffer.concat(extensions)));
  return Buffer.concat(parts);
}

/**
 * Reads a payload and verifies that its key has signed the Noise key of the other side.
 *
 * @throws NoiseError if the payload is not valid, or the signature is wrong
 */
export function verifyPayload(payload: Buffer, staticKey: Uint8Array, crypto: NoiseCrypto): RemoteIdentity {
  const { publicKey, signature, muxers } = decodePayload(payload);
  const key = parsePublicKey(publicKey, crypto);
  if (key === undefined)
    throw new NoiseError('NOISE_PAYLOAD', 'The key of the other side is not valid or not supported.');
  if (signature.length > MAX_SIGNATURE_BYTES || !key.verify(signedBytes(staticKey), signature))
    throw new NoiseError(
      'NOISE_SIGNATURE',
      'The other side has not proved its peer id: the signature is wrong.',
    );
  return { key, muxers };
}

interface Payload {
  publicKey: Buffer;
  signature: Buffer;
  muxers: string[];
}

function decodePayload(bytes: Buffer): Payload {
  const payload: Payload = { publicKey: Buffer.alloc(0), signature: Buffer.alloc(0), muxers: [] };
  try {
    const reader = new ProtobufReader(bytes);
    while (reader.next()) {
      if (reader.bytes === undefined) continue;
      if (reader.field === IDENTITY_KEY) payload.publicKey = reader.bytes;
      if (reader.field === IDENTITY_SIGNATURE) payload.signature = reader.bytes;
      if (reader.field === EXTENSIONS) payload.muxers = decodeMuxers(reader.bytes);
    }
  } catch (error) {
    throw new NoiseError(
      'NOISE_PAYLOAD',
      `The payload of the other side is not valid: ${describeError(error)}.`,
    );
  }
  return payload;
}

function decodeMuxers(extensions: Buffer): string[] {
  const muxers: string[] = [];
  const reader = new ProtobufReader(extensions);
  while (reader.next()) {
    const { field, bytes } = reader;
    if (field !== STREAM_MUXERS || bytes === undefined || bytes.length > MAX_MUXER_BYTES) continue;
    if (muxers.length < MAX_MUXERS) muxers.push(bytes.toString());
  }
  return muxers;
}
