import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { identityFromSeed, readIdentity, readOrCreateIdentity, readSeed } from './identity.ts';

const folder = mkdtempSync(join(tmpdir(), 'identity-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('an identity file', () => {
  test('is created once with mode 0600, and read afterwards', async () => {
    const path = join(folder, 'identity.key');
    const created = await readOrCreateIdentity(path);
    expect((await readOrCreateIdentity(path)).equals(created)).toBe(true);
    expect(readIdentity(path).equals(created)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('is the same for two callers that create it at the same time, and no other file remains', async () => {
    const path = join(folder, 'raced.key');
    const [a, b] = await Promise.all([readOrCreateIdentity(path), readOrCreateIdentity(path)]);
    expect(a.equals(b)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('raced'))).toEqual(['raced.key']);
  });

  test('written by rust-libp2p has the peer id that rust-libp2p derives', () => {
    // The key pair of the peer-id specification's Ed25519 test vector.
    const path = join(folder, 'rust.key');
    const bytes =
      '080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e';
    writeFileSync(path, Buffer.from(bytes, 'hex'));
    const peerId = peerIdFromPrivateKey(readIdentity(path));
    expect(Buffer.from(peerId.publicKey?.raw ?? []).toString('hex')).toBe(bytes.slice(-64));
  });

  test.each([
    ['garbage', Buffer.from('not a key at all')],
    ['empty', Buffer.alloc(0)],
  ])('is rejected with its path when it is %s', async (name, content) => {
    const path = join(folder, `${name}.key`);
    writeFileSync(path, content);
    await expect(readOrCreateIdentity(path)).rejects.toThrow(`${path}: not a private key`);
  });

  test('is rejected with its path when its folder does not exist', async () => {
    const path = join(folder, 'no', 'identity.key');
    await expect(readOrCreateIdentity(path)).rejects.toThrow(`${path}: cannot be written: ENOENT`);
  });
});

describe('a seed', () => {
  const seed = Buffer.from('0123456789abcdef0123456789abcdef');

  test('yields a different, stable identity for each ordinal', async () => {
    const first = peerIdFromPrivateKey(await identityFromSeed(seed, 0)).toString();
    const second = peerIdFromPrivateKey(await identityFromSeed(seed, 1)).toString();
    // Operators distribute these peer ids: with another derivation no device would find its relay.
    expect([first, second]).toMatchInlineSnapshot(`
[
  "12D3KooWELzvKbV8GLT55WFrpFSBr7E8Gpk8oaQcFozUFwASJRak",
  "12D3KooWKWHD6t3VoBYoUUZiJM7Aby7hszvcVQ1LRtFxf8kR8UaT",
]
`);
  });

  test('is read without surrounding white space, and rejected when it is too short', () => {
    const path = join(folder, 'seed');
    writeFileSync(path, `${seed.toString()}\n`);
    expect(Buffer.from(readSeed(path))).toEqual(seed);
    writeFileSync(path, 'short');
    expect(() => readSeed(path)).toThrow(`${path}: the seed has 5 bytes; the minimum is 32.`);
  });
});
