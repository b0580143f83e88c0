// Signed envelopes (https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md), and reservation vouchers
// in them (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#reservation-vouchers).
import { publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { writer } from 'protons-runtime';
import type { PeerIdentity } from './connection.ts';
import { encodeVoucher } from './messages.ts';
import { createSigner } from './signer.ts';

const VOUCHER_DOMAIN = 'libp2p-relay-rsvp';
const VOUCHER_TYPE = new Uint8Array([0x03, 0x02]);

/** The tags of fields 1, 2, 3 and 5 of an envelope, which contain bytes. */
const PUBLIC_KEY = 10;
const PAYLOAD_TYPE = 18;
const PAYLOAD = 26;
const SIGNATURE = 42;

/** Seals a payload into an envelope. */
export type EnvelopeSealer = (payload: Uint8Array) => Promise<Uint8Array>;

/** @param payloadType the multicodec of the payload */
export function createEnvelopeSealer(
  identity: PrivateKey,
  domain: string,
  payloadType: Uint8Array,
): EnvelopeSealer {
  const publicKey = publicKeyToProtobuf(identity.publicKey);
  const sign = createSigner(identity);
  return async (payload) => {
    const signed = writer().string(domain).bytes(payloadType).bytes(payload).finish();
    const signature = await sign(signed);
    const envelope = writer();
    envelope.uint32(PUBLIC_KEY).bytes(publicKey);
    envelope.uint32(PAYLOAD_TYPE).bytes(payloadType);
    envelope.uint32(PAYLOAD).bytes(payload);
    envelope.uint32(SIGNATURE).bytes(signature);
    return envelope.finish();
  };
}

/** Seals the proof that the relay has granted a reservation to a peer. */
export type VoucherSealer = (peer: PeerIdentity, expiresUnixSeconds: number) => Promise<Uint8Array>;

export function createVoucherSealer(identity: PrivateKey): VoucherSealer {
  const relay = peerIdFromPrivateKey(identity).toMultihash().bytes;
  const seal = createEnvelopeSealer(identity, VOUCHER_DOMAIN, VOUCHER_TYPE);
  return async (peer, expiresUnixSeconds) => seal(encodeVoucher(relay, peer.multihash, expiresUnixSeconds));
}
