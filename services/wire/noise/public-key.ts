// Public keys of peers in libp2p's protobuf encoding, their peer ids, and the signatures that they verify
// (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { bytesField, numberField, ProtobufReader } from '../protobuf.ts';
import { ED25519_KEY_BYTES, type NoiseCrypto } from './crypto.ts';

/** Types of keys. */
const RSA = 0;
const ED25519 = 1;
const SECP256K1 = 2;
const ECDSA = 3;

/** Maximum length of a public key, in bytes: above that of RSA with 8,192 bits, which has 1,062. */
const MAX_KEY_BYTES = 1100;

/** Sizes of RSA keys, in bits, that the implementations in go and Rust accept. Larger ones cost much CPU time. */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/** Curves of ECDSA keys. */
const ECDSA_CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** What precedes a point of secp256k1 in the DER encoding of the key, by the length of the point (RFC 5480). */
const SECP256K1_PREFIXES: ReadonlyMap<number, Buffer> = new Map([
  [33, Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex')],
  [65, Buffer.from('3056301006072a8648ce3d020106052b8104000a034200', 'hex')],
]);

/** Maximum length of a key whose peer id contains it, in bytes; that of a longer key is its SHA-256. */
const MAX_INLINE_BYTES = 42;

export interface PublicKey {
  /** The key in libp2p's protobuf encoding. */
  readonly protobuf: Buffer;
  /** The peer id: the multihash of `protobuf`. */
  readonly peer: Buffer;
  verify(message: Buffer, signature: Buffer): boolean;
}

/** The encoding of an Ed25519 key before its 32 bytes. */
const ED25519_PREFIX = Buffer.from([0x08, ED25519, 0x12, ED25519_KEY_BYTES]);

/** Parses a key. `undefined` if it is not valid, or has a type or a size that is not supported. */
export function parsePublicKey(encoded: Buffer, { verifyEd25519 }: NoiseCrypto): PublicKey | undefined {
  if (isPlainEd25519(encoded)) return plainEd25519(encoded, verifyEd25519);
  const { type, data } = decode(encoded);
  const verifySignature = type === ED25519 ? ed25519Verifier(data, verifyEd25519) : verifier(type, data);
  if (verifySignature === undefined) return undefined;
  // Encoded again, so that each key has one peer id, whatever fields follow it.
  const protobuf = encodePublicKey(type, data);
  return { protobuf, peer: peerOf(protobuf), verify: verifySignature };
}

/** Whether this is the usual encoding of an Ed25519 key, which almost every device has: nothing of it needs to be encoded again. */
function isPlainEd25519(encoded: Buffer): boolean {
  const prefixBytes = ED25519_PREFIX.length;
  return (
    encoded.length === prefixBytes + ED25519_KEY_BYTES &&
    ED25519_PREFIX.compare(encoded, 0, prefixBytes) === 0
  );
}

/** The peer id is the identity hash of the key, so it contains all else. */
function plainEd25519(encoded: Buffer, verifyEd25519: NoiseCrypto['verifyEd25519']): PublicKey {
  const peer = Buffer.allocUnsafe(2 + encoded.length);
  peer[0] = 0x00;
  peer[1] = encoded.length;
  encoded.copy(peer, 2);
  const data = peer.subarray(2 + ED25519_PREFIX.length);
  return {
    protobuf: peer.subarray(2),
    peer,
    verify: (message, signature) => verifyEd25519(data, message, signature),
  };
}

/** The protobuf encoding of an Ed25519 public key. */
export function encodeEd25519PublicKey(publicKey: Uint8Array): Buffer {
  return encodePublicKey(ED25519, publicKey);
}

/** The multihash that is the peer id of a public key in protobuf encoding. */
export function peerOf(protobuf: Uint8Array): Buffer {
  if (protobuf.length <= MAX_INLINE_BYTES)
    return Buffer.concat([Buffer.from([0x00, protobuf.length]), protobuf]);
  return Buffer.concat([Buffer.from([0x12, 32]), createHash('sha256').update(protobuf).digest()]);
}

function encodePublicKey(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([numberField(1, type), bytesField(2, data)]);
}

function decode(encoded: Buffer): { readonly type: number; readonly data: Buffer } {
  let type = -1;
  let data = Buffer.alloc(0);
  try {
    const reader = new ProtobufReader(encoded);
    while (reader.next()) {
      if (reader.field === 1) type = reader.bytes === undefined ? reader.number : -1;
      if (reader.field === 2) data = Buffer.from(reader.bytes ?? []);
    }
  } catch {
    type = -1;
  }
  return { type, data };
}

type Verify = PublicKey['verify'];

function ed25519Verifier(data: Buffer, verifyEd25519: NoiseCrypto['verifyEd25519']): Verify | undefined {
  if (data.length !== ED25519_KEY_BYTES) return undefined;
  return (message, signature) => verifyEd25519(data, message, signature);
}

/** Verifies with SHA-256, which the specification requires for all other types. */
function verifier(type: number, data: Buffer): Verify | undefined {
  const key = data.length > MAX_KEY_BYTES ? undefined : importKey(type, data);
  if (key === undefined) return undefined;
  return (message, signature) => {
    try {
      return verify('sha256', message, key, signature);
    } catch {
      return false;
    }
  };
}

function importKey(type: number, data: Buffer): KeyObject | undefined {
  const prefix = type === SECP256K1 ? SECP256K1_PREFIXES.get(data.length) : Buffer.alloc(0);
  if (prefix === undefined) return undefined;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.concat([prefix, data]), format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const isSupported =
    (type === RSA &&
      key.asymmetricKeyType === 'rsa' &&
      modulusLength >= MIN_RSA_BITS &&
      modulusLength <= MAX_RSA_BITS) ||
    (type === SECP256K1 && namedCurve === 'secp256k1') ||
    (type === ECDSA && ECDSA_CURVES.has(namedCurve));
  return isSupported ? key : undefined;
}
