// A node's identity: the private key that its peer id is made from, kept in a file as libp2p encodes it (what `rr`
// writes), or derived from a seed so that replicas of a relay need no volume.
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

/** An RSA-4096 private key takes about 2,400 bytes; an Ed25519 one 68. */
const MAX_FILE_BYTES = 16 * 1024;

/** Least length of a seed, in bytes: below it an attacker could guess. */
export const MIN_SEED_BYTES = 32;

/** Longest seed file, in bytes. */
const MAX_SEED_BYTES = 1024;

const ED25519_SEED_BYTES = 32;

/**
 * Reads a protobuf-encoded private key.
 *
 * @throws Error that completes the sentence «NAME …» with the path and what is wrong.
 */
export function readIdentity(path: string): PrivateKey {
  const bytes = readSmallFile(path, MAX_FILE_BYTES);
  try {
    return privateKeyFromProtobuf(bytes);
  } catch (error) {
    throw new Error(`names ${path}, which is no private key in libp2p's protobuf encoding`, { cause: error });
  }
}

/**
 * Reads the identity, or writes a fresh Ed25519 one with mode 0600 where there is no file. The file appears whole
 * or not at all, and when two processes race for it both end up with the same identity.
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
    throw new Error(`names ${path}, which cannot be written (${describeError(error)})`, { cause: error });
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/**
 * The identity of replica `ordinal`: HKDF-SHA256 of the seed with the info `relay/<ordinal>`, as an Ed25519 seed
 * (RFC 5869). Identities are known in advance for any number of replicas and none tells of another.
 */
export async function identityFromSeed(seed: Uint8Array, ordinal: number): Promise<PrivateKey> {
  const derived = hkdfSync('sha256', seed, '', `relay/${ordinal}`, ED25519_SEED_BYTES);
  return generateKeyPairFromSeed('Ed25519', new Uint8Array(derived));
}

/** Reads a seed file; white space around it does not count. @throws Error that names the path and the bound. */
export function readSeed(path: string): Uint8Array {
  const seed = Buffer.from(readSmallFile(path, MAX_SEED_BYTES).toString('latin1').trim(), 'latin1');
  if (seed.length < MIN_SEED_BYTES)
    throw new Error(
      `names ${path}, which has fewer than ${MIN_SEED_BYTES} bytes; write one with: openssl rand -hex 32`,
    );
  return seed;
}
