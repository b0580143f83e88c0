// The identify protocol, which tells a peer who the relay is: its key, its addresses, what it serves, and at which address
// it sees the peer. The relay does not ask its peers.
// https://github.com/libp2p/specs/blob/master/identify/README.md
import { publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { writer } from 'protons-runtime';
import type { LoopClock } from '../../shared/loop-clock.ts';
import { describeError, toError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { RelayStream } from '../connection.ts';
import { Deadlines } from '../deadlines.ts';
import type { StreamHandler } from '../network.ts';
import { createEnvelopeSealer } from '../voucher.ts';

export const IDENTIFY_PROTOCOL = '/ipfs/id/1.0.0';

const PROTOCOL_VERSION = 'ipfs/0.1.0';
const AGENT_VERSION = 'rustory-p2p-relay';

/** Maximum concurrent streams of identify on one connection. */
const MAX_STREAMS = 8;

/** Deadline of one exchange, in milliseconds. */
const TIMEOUT_MS = 10_000;

/** Domain and payload type of a signed peer record (RFC 0003 of the specifications of libp2p). */
const RECORD_DOMAIN = 'libp2p-peer-record';
const RECORD_TYPE = new Uint8Array([0x03, 0x01]);

/** The tags of the fields of the message, all of which contain bytes or text. */
const FIELDS = {
  publicKey: 10,
  listenAddress: 18,
  protocol: 26,
  observedAddress: 34,
  protocolVersion: 42,
  agentVersion: 50,
  signedPeerRecord: 66,
} as const;

export interface IdentifyOptions {
  readonly identity: PrivateKey;
  /** The protocols that the relay serves, without identify. */
  readonly protocols: readonly string[];
  /** The announced addresses. */
  addresses(): readonly Multiaddr[];
  readonly clock: Pick<LoopClock, 'nowMs' | 'after'>;
  readonly log: Logger;
}

export function createIdentify(options: IdentifyOptions): StreamHandler {
  const { identity, clock, log } = options;
  const protocols = [IDENTIFY_PROTOCOL, ...options.protocols];
  const createMessage = createIdentifyMessage(identity, protocols);
  const deadlines = new Deadlines(TIMEOUT_MS, clock);
  /** The last message, for as long as the addresses are the same. */
  let last: { readonly key: string; readonly message: Promise<Uint8Array> } | undefined;

  async function commonMessage(): Promise<Uint8Array> {
    const addresses = options.addresses();
    const key = addresses.join();
    if (last?.key !== key) last = { key, message: createMessage(addresses) };
    return last.message;
  }

  return {
    protocol: IDENTIFY_PROTOCOL,
    maxInboundStreams: MAX_STREAMS,
    async handle(stream) {
      const deadline = {
        onDeadline: () => stream.reset(new Error('The peer did not close the identify stream in time.')),
      };
      deadlines.add(deadline);
      stream.onceClosed(() => deadlines.remove(deadline));
      try {
        stream.writeMessage(Buffer.concat([await commonMessage(), observedAddress(stream)]));
        stream.closeWrite();
      } catch (error) {
        log.debug({ peer: stream.connection.peer.id, error: describeError(error) }, 'identify failed');
        stream.reset(toError(error));
      }
    },
  };
}

/** The fields that are the same for all peers. */
function createIdentifyMessage(
  identity: PrivateKey,
  protocols: readonly string[],
): (addresses: readonly Multiaddr[]) => Promise<Uint8Array> {
  const publicKey = publicKeyToProtobuf(identity.publicKey);
  const peerId = peerIdFromPrivateKey(identity);
  const seal = createEnvelopeSealer(identity, RECORD_DOMAIN, RECORD_TYPE);
  return async (addresses) => {
    const suffix = `/p2p/${peerId.toString()}`;
    const listenAddresses = addresses.map((address) => address.decapsulate(suffix).bytes);
    const w = writer();
    w.uint32(FIELDS.protocolVersion).string(PROTOCOL_VERSION);
    w.uint32(FIELDS.agentVersion).string(AGENT_VERSION);
    w.uint32(FIELDS.publicKey).bytes(publicKey);
    for (const address of listenAddresses) w.uint32(FIELDS.listenAddress).bytes(address);
    for (const protocol of protocols) w.uint32(FIELDS.protocol).string(protocol);
    if (listenAddresses.length > 0) {
      const record = await seal(encodePeerRecord(peerId.toMultihash().bytes, listenAddresses));
      w.uint32(FIELDS.signedPeerRecord).bytes(record);
    }
    return w.finish();
  };
}

/** The record of the addresses of a peer. A later one replaces it, so its number is the time. */
function encodePeerRecord(peerId: Uint8Array, addresses: readonly Uint8Array[]): Uint8Array {
  const w = writer();
  w.uint32(10).bytes(peerId);
  w.uint32(16).uint64Number(Date.now());
  for (const address of addresses) {
    w.uint32(26).fork();
    w.uint32(10).bytes(address);
    w.ldelim();
  }
  return w.finish();
}

function observedAddress({ connection }: RelayStream): Uint8Array {
  const observed = multiaddr(`${connection.address}/p2p/${connection.peer.id}`);
  return writer().uint32(FIELDS.observedAddress).bytes(observed.bytes).finish();
}
