// The identity of a node: the private key that its peer id is derived from. It is read from a file in libp2p's
// protobuf encoding, as `rr` writes it, or derived from a seed, so that replicas of a relay need no volume.
import { hkdfSync, randomUUID } from 'node:crypto';
import { existsSync, linkSync, rmSync, writeFileSync } from 'node:fs';
import {
  generateKeyPair,
  generateKeyPairFromSeed,
  privateKeyFromProtobuf,
  privateKeyToProtobuf,
} from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { readSmallFile } from '../shared/files.ts';
import { describeError, errorCode } from '../shared/errors.ts';

/** Maximum size of a key file, in bytes. An RSA-4096 key has about 2,400 bytes, an Ed25519 key 68. */
const MAX_FILE_BYTES = 16 * 1024;

/** Minimum length of a seed, in bytes. Shorter seeds can be guessed and are rejected. */
const MIN_SEED_BYTES = 32;

/** Maximum size of a seed file, in bytes. */
const MAX_SEED_BYTES = 1024;

const ED25519_SEED_BYTES = 32;

/**
 * Reads a private key in libp2p's protobuf encoding.
 *
 * @throws Error that names the path and the reason, never the content
 */
export function readIdentity(path: string): PrivateKey {
  const bytes = readSmallFile(path, MAX_FILE_BYTES);
  try {
    return privateKeyFromProtobuf(bytes);
  } catch (error) {
    throw new Error(`${path}: not a private key in libp2p's protobuf encoding.`, { cause: error });
  }
}

/**
 * Reads the identity, or creates an Ed25519 key with mode 0600 when the file does not exist. The file is created
 * atomically: two processes that start at the same time get the same identity.
 *
 * @throws Error that names the path and the reason
 */
export async function readOrCreateIdentity(path: string): Promise<PrivateKey> {
  if (existsSync(path)) return readIdentity(path);
  const key = await generateKeyPair('Ed25519');
  const unfinished = `${path}.${randomUUID()}.new`;
  try {
    writeFileSync(unfinished, privateKeyToProtobuf(key), { mode: 0o600, flag: 'wx' });
    linkSync(unfinished, path);
    return key;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return readIdentity(path);
    throw new Error(`${path}: cannot be written: ${describeError(error)}.`, { cause: error });
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/**
 * The identity of replica `ordinal`: HKDF-SHA256 of the seed with the info `relay/<ordinal>`, as an Ed25519 seed
 * (RFC 5869). The identities of all replicas can be computed in advance, and no identity reveals another one.
 */
export async function identityFromSeed(seed: Uint8Array, ordinal: number): Promise<PrivateKey> {
  return deriveIdentity(seed, `relay/${ordinal}`);
}

/** The Ed25519 key whose seed is HKDF-SHA256 of the secret with this info (RFC 5869). */
export async function deriveIdentity(secret: Uint8Array, info: string): Promise<PrivateKey> {
  const derived = hkdfSync('sha256', secret, '', info, ED25519_SEED_BYTES);
  return generateKeyPairFromSeed('Ed25519', new Uint8Array(derived));
}

/** Reads a seed file and trims the seed. @throws Error that names the path and the minimum length */
export function readSeed(path: string): Uint8Array {
  return readSecret(path, 'seed', MIN_SEED_BYTES);
}

/**
 * Reads the file of a secret and trims it.
 *
 * @param noun names the secret in errors
 * @throws Error that names the path and the minimum length, never the content
 */
export function readSecret(path: string, noun: string, minBytes: number): Uint8Array {
  const secret = Buffer.from(readSmallFile(path, MAX_SEED_BYTES).toString('latin1').trim(), 'latin1');
  if (secret.length < minBytes)
    throw new Error(
      `${path}: the ${noun} has ${secret.length} bytes; the minimum is ${minBytes}. Create one with: openssl rand -hex 32.`,
    );
  return secret;
}
