import { describe, expect, test } from '@jest/globals';
import { base32 } from 'multiformats/bases/base32';
import { base36 } from 'multiformats/bases/base36';
import { base58btc } from 'multiformats/bases/base58';
import { CID } from 'multiformats/cid';
import { canonicalPeerId } from './peerid.ts';

const ed25519 = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const secp256k1 = '16Uiu2HAkyzjn2j2MJFsXa5Q1JYjoc4WiXWaRR1kaUyMhDqfy4q2j';
const rsa = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const cid = (id: string, code = 0x72): CID =>
  CID.createV1(code, CID.parse(id.startsWith('Qm') ? id : asCid(id)).multihash);

/** The `bafz…` form of the Ed25519 id above. */
function asCid(id: string): string {
  return base36.encode(new Uint8Array([1, 0x72, ...base58btc.decode(`z${id}`)]));
}

describe('canonicalPeerId', () => {
  test.each([ed25519, secp256k1, rsa])('keeps the base58 form %s', (id) => {
    expect(canonicalPeerId(id)).toBe(id);
  });

  test.each([
    ['base32', base32.encode(cid(ed25519).bytes)],
    ['base36', asCid(ed25519)],
    ['base58', base58btc.encode(cid(ed25519).bytes)],
  ])('converts a CIDv1 in %s to base58', (_, text) => {
    expect(canonicalPeerId(text)).toBe(ed25519);
  });

  test('converts the CIDv1 of an RSA key to Qm…', () => {
    expect(canonicalPeerId(base32.encode(cid(rsa).bytes))).toBe(rsa);
  });

  test.each([
    ['an empty text', ''],
    ['a word', 'nobody'],
    ['a space before', ` ${ed25519}`],
    ['a missing letter', ed25519.slice(0, -1)],
    ['a letter that is not in base58', ed25519.replace('K', '0')],
    ['a letter outside ASCII, which the base58 decoder accepts as a digit', `${ed25519.slice(0, -1)}\ufffd`],
    ['the same in a CIDv1', `${base58btc.encode(cid(ed25519).bytes).slice(0, -1)}\ufffd`],
    ['an identity hash without a key', base58btc.encode(new Uint8Array([0, 4, 1, 2, 3, 4])).slice(1)],
    ['an empty identity hash', '11'],
    ['a hash of another kind', base58btc.encode(new Uint8Array([0x13, 2, 1, 2])).slice(1)],
    ['a CIDv1 of content', cid(rsa, 0x55).toString()],
    ['a peer id of a megabyte', '1'.repeat(1_000_000)],
    ['lone surrogates', '12D3\ud800'],
    ['a prototype key', '__proto__'],
  ])('rejects %s', (_, text) => {
    expect(canonicalPeerId(text)).toBeUndefined();
  });
});
