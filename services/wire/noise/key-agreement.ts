// X25519 (RFC 7748): libsodium, or Node's implementation.
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { loadSodium, type Sodium } from './sodium.ts';

/** Length of a public key, a private key and a secret, in bytes. */
export const DH_BYTES = 32;

/** A key pair. Its private key stays with the implementation that created it. */
export interface DhKeys {
  readonly publicKey: Buffer;
  /** The shared secret; `undefined` for a public key that gives the same secret with every private key (zero). */
  agree(remotePublicKey: Uint8Array): Buffer | undefined;
}

export interface KeyAgreement {
  readonly name: 'sodium-native' | 'node:crypto';
  generate(): DhKeys;
  /** The key pair of a private key of 32 bytes. */
  fromPrivate(privateKey: Uint8Array): DhKeys;
}

/** The fastest implementation that works on this machine. */
export function loadKeyAgreement(): KeyAgreement {
  const sodium = loadSodium();
  return sodium === undefined ? nodeKeyAgreement : createSodiumKeyAgreement(sodium);
}

export function createSodiumKeyAgreement(sodium: Sodium): KeyAgreement {
  function keys(publicKey: Buffer, privateKey: Uint8Array): DhKeys {
    return {
      publicKey,
      agree(remotePublicKey) {
        checkLength(remotePublicKey);
        const secret = Buffer.alloc(DH_BYTES);
        return sodium.crypto_scalarmult(secret, privateKey, remotePublicKey) === 0 ? secret : undefined;
      },
    };
  }

  return {
    name: 'sodium-native',
    generate() {
      const [publicKey, privateKey] = [Buffer.alloc(DH_BYTES), Buffer.alloc(DH_BYTES)];
      sodium.crypto_box_keypair(publicKey, privateKey);
      return keys(publicKey, privateKey);
    },
    fromPrivate(privateKey) {
      checkLength(privateKey);
      const publicKey = Buffer.alloc(DH_BYTES);
      sodium.crypto_scalarmult_base(publicKey, privateKey);
      return keys(publicKey, privateKey);
    },
  };
}

/** What precedes the bytes of a key in its DER encoding (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

export const nodeKeyAgreement: KeyAgreement = {
  name: 'node:crypto',
  generate() {
    const { publicKey, privateKey } = generateKeyPairSync('x25519');
    return nodeKeys(publicKey, privateKey);
  },
  fromPrivate(bytes) {
    checkLength(bytes);
    const der = Buffer.concat([PKCS8_PREFIX, bytes]);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    return nodeKeys(createPublicKey(privateKey), privateKey);
  },
};

function nodeKeys(publicKey: KeyObject, privateKey: KeyObject): DhKeys {
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length),
    agree(remotePublicKey) {
      checkLength(remotePublicKey);
      const key = Buffer.concat([SPKI_PREFIX, remotePublicKey]);
      try {
        return diffieHellman({
          privateKey,
          publicKey: createPublicKey({ key, format: 'der', type: 'spki' }),
        });
      } catch {
        return undefined;
      }
    },
  };
}

function checkLength({ length }: Uint8Array): void {
  if (length !== DH_BYTES)
    throw new RangeError(`A key of X25519 has ${DH_BYTES} bytes; this one has ${length}.`);
}
