// Peer ids of libp2p in their canonical form. The tracker does not depend on libp2p and parses them with the
// multiformats library (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
import { base58btc } from 'multiformats/bases/base58';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';

/** Maximum length of a textual peer id, in characters. An Ed25519 id as a base16 CID has 83, other ids are shorter. */
const MAX_PEER_ID_LENGTH = 128;

/** Multicodec of a public key in a CIDv1 peer id. */
const LIBP2P_KEY = 0x72;

/** Multihash of an RSA key: its SHA-256 hash. */
const SHA2_256 = 0x12;
const SHA2_256_BYTES = 32;

/** Identity multihash, which contains the key itself: for keys of at most 42 bytes of protobuf. */
const IDENTITY = 0x00;
const MAX_INLINE_KEY_BYTES = 42;

/** Protobuf field headers of a public key: its type (field 1, varint) and its data (field 2, bytes). */
const KEY_TYPE_FIELD = 0x08;
const KEY_DATA_FIELD = 0x12;

/**
 * The canonical form, base58btc of the multihash (`12D3…`, `16Uiu2…`, `Qm…`), of any textual peer id,
 * a CIDv1 (`bafz…`) included. `undefined` when the text is not a peer id.
 */
export function canonicalPeerId(text: string): string | undefined {
  // Characters outside ASCII are rejected here, because the base58 decoder accepts them as arbitrary digits.
  if (text.length > MAX_PEER_ID_LENGTH || !/^[0-9A-Za-z]+$/.test(text)) return undefined;
  try {
    // `1` and `Q` start base58 multihashes without a multibase prefix. These have only one encoding.
    if (text.startsWith('1') || text.startsWith('Q'))
      return isPeerIdHash(Digest.decode(base58btc.decode(`z${text}`))) ? text : undefined;
    const { version, code, multihash } = CID.parse(text);
    if (version !== 1 || code !== LIBP2P_KEY || !isPeerIdHash(multihash)) return undefined;
    return base58btc.encode(multihash.bytes).slice(1);
  } catch {
    return undefined;
  }
}

function isPeerIdHash({ code, digest }: { code: number; digest: Uint8Array }): boolean {
  if (code === SHA2_256) return digest.length === SHA2_256_BYTES;
  if (code !== IDENTITY || digest.length > MAX_INLINE_KEY_BYTES) return false;
  return digest[0] === KEY_TYPE_FIELD && digest[2] === KEY_DATA_FIELD && digest[3] === digest.length - 4;
}
