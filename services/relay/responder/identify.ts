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
import { DeadlineQueue } from '../../shared/deadline-queue.ts';
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

/** The codes of protocols in multiaddrs, that of a peer id as a varint. https://github.com/multiformats/multicodec */
const CODES = { ip4: 0x04, tcp: 0x06, p2p: [0xa5, 0x03] } as const;

const IPV4_ADDRESS = /^\/ip4\/(\d+)\.(\d+)\.(\d+)\.(\d+)\/tcp\/(\d+)$/;

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
  const deadlines = new DeadlineQueue(TIMEOUT_MS, { clock });
  /** The last message, for as long as the addresses are the same: as a promise only until it is signed. */
  let last: { readonly key: string; message: Uint8Array | Promise<Uint8Array> } | undefined;
  let lastAddresses: readonly Multiaddr[] | undefined;

  function commonMessage(): Uint8Array | Promise<Uint8Array> {
    const addresses = options.addresses();
    if (addresses === lastAddresses && last !== undefined) return last.message;
    lastAddresses = addresses;
    const key = addresses.join();
    if (last?.key === key) return last.message;
    const message = createMessage(addresses);
    const next: typeof last = { key, message };
    last = next;
    void message.then(
      (signed) => (next.message = signed),
      () => {},
    );
    return message;
  }

  return {
    protocol: IDENTIFY_PROTOCOL,
    maxInboundStreams: MAX_STREAMS,
    async handle(stream) {
      const deadline = {
        expire: () => stream.reset(new Error('The peer did not close the identify stream in time.')),
      };
      deadlines.add(deadline);
      stream.onceClosed(() => deadlines.remove(deadline));
      try {
        const message = commonMessage();
        // Without a pause, the answer is sent together with that of the negotiation.
        answer(stream, message instanceof Promise ? await message : message);
      } catch (error) {
        log.debug({ peer: stream.connection.peer.id, error: describeError(error) }, 'identify failed');
        stream.reset(toError(error));
      }
    },
  };
}

/** @param message the fields that are the same for all peers */
function answer(stream: RelayStream, message: Uint8Array): void {
  stream.writeMessage(Buffer.concat([message, observedAddress(stream)]));
  stream.closeWrite();
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
  const { address, peer } = connection;
  const observed = encodeIpv4Address(address, peer.multihash) ?? multiaddr(`${address}/p2p/${peer.id}`).bytes;
  return writer().uint32(FIELDS.observedAddress).bytes(observed).finish();
}

/**
 * The bytes of the address of a peer in IPv4, without the object of the library, which costs more than the rest of the
 * answer. `undefined` for other addresses.
 */
function encodeIpv4Address(address: string, peerId: Uint8Array): Uint8Array | undefined {
  const match = IPV4_ADDRESS.exec(address);
  if (match === null || peerId.length >= 0x80) return undefined;
  const [a, b, c, d, port] = match.slice(1).map(Number);
  if (a === undefined || b === undefined || c === undefined || d === undefined || port === undefined)
    return undefined;
  const ip = [CODES.ip4, a, b, c, d, CODES.tcp, port >> 8, port & 0xff];
  return Buffer.from([...ip, ...CODES.p2p, peerId.length, ...peerId]);
}
