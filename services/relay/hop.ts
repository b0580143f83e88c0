// The hop side of circuit-relay-v2: reservations and circuits for the peers of a private network.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
import type { Connection, PeerId, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromMultihash, peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { pbStream, type ProtobufStream } from '@libp2p/utils';
import type { Multiaddr } from '@multiformats/multiaddr';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import { describeError, errorCode, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import type { Bucket } from './token-bucket.ts';
import type { Buffers } from './buffers.ts';
import { joinStreams } from './circuit.ts';
import { addressOf } from './connection-limiter.ts';
import type { Ledger, Refusal } from './admission.ts';
import {
  decodeHopRequest,
  encodeHopAnswer,
  encodeVoucher,
  FRAMING,
  type HopAnswer,
  type Limit,
  Status,
} from './messages.ts';
import type { RelayMetrics } from './metrics.ts';
import { createStop, isRelayed } from './stop.ts';

/** How long one exchange of hop messages may take, in milliseconds; clients give up after some 10 to 60 s. */
const HOP_TIMEOUT_MS = 15_000;

const VOUCHER_DOMAIN = 'libp2p-relay-rsvp';
const VOUCHER_CODEC = new Uint8Array([0x03, 0x02]);

// Spec: «PERMISSION_DENIED» is for access lists, which we have none of. rust-libp2p takes any refusal of a
// reservation but RESERVATION_REFUSED and RESOURCE_LIMIT_EXCEEDED for a violation and drops the connection.
const RESERVE_STATUS = Status.RESERVATION_REFUSED;

const CONNECT_STATUS: Record<Refusal, Status> = {
  draining: Status.RESOURCE_LIMIT_EXCEEDED,
  rate: Status.RESOURCE_LIMIT_EXCEEDED,
  address: Status.RESOURCE_LIMIT_EXCEEDED,
  reservations: Status.RESOURCE_LIMIT_EXCEEDED,
  no_reservation: Status.NO_RESERVATION,
  circuits: Status.RESOURCE_LIMIT_EXCEEDED,
  source: Status.RESOURCE_LIMIT_EXCEEDED,
  target: Status.RESOURCE_LIMIT_EXCEEDED,
};

export interface HopOptions {
  readonly identity: PrivateKey;
  readonly ledger: Ledger;
  readonly limit: Limit;
  readonly maxCircuitsPerPeer: number;
  readonly reservationSeconds: number;
  /** Time without a byte after which a circuit ends. */
  readonly idleSeconds: number;
  readonly buffers: Buffers;
  readonly metrics: RelayMetrics;
  readonly log: Logger;
  /** The relay's own addresses as devices can dial them, ending in its peer id; empty when it lost its network. */
  addresses(): readonly Multiaddr[];
  connectionsTo(peer: PeerId): Connection[];
  /** The rate of one more circuit, where each has one. */
  createCircuitRate(): Bucket | undefined;
}

export interface Hop {
  /** Handles one stream of the hop protocol; never rejects. */
  handle(stream: Stream, connection: Connection): Promise<void>;
  /** Resolves when no circuit runs any more, or the signal ends the wait. */
  settled(signal: AbortSignal): Promise<void>;
  /** Ends all circuits. */
  stop(): void;
}

type Messages = ProtobufStream<Stream>;

export function createHop(options: HopOptions): Hop {
  const { identity, ledger, limit, metrics, log } = options;
  const relay = peerIdFromPrivateKey(identity);
  const stop = createStop(options);
  const shutdown = new AbortController();
  const running = new Set<Promise<void>>();

  async function onReserve(messages: Messages, connection: Connection, signal: AbortSignal): Promise<void> {
    const peer = connection.remotePeer.toString();
    if (isRelayed(connection)) {
      metrics.reservation('relayed');
      return refuse(messages, RESERVE_STATUS, signal);
    }
    const addresses = options.addresses().map((address) => address.bytes);
    // Clients take a reservation without an address for a violation.
    if (addresses.length === 0) {
      metrics.reservation('no_address');
      return refuse(messages, RESERVE_STATUS, signal);
    }
    const decision = ledger.reserve(peer, addressOf(connection));
    metrics.reservation(decision.allowed ? 'ok' : decision.reason);
    log.debug({ peer, decision }, 'reserve');
    if (!decision.allowed) return refuse(messages, RESERVE_STATUS, signal);
    // The peer may have gone while its request was read; its disconnect has then already been seen.
    if (options.connectionsTo(connection.remotePeer).length === 0) return ledger.release(peer);
    const expires = Math.floor(Date.now() / 1000) + options.reservationSeconds;
    const voucher = await sealVoucher(identity, relay, connection.remotePeer, expires);
    await conclude(
      messages,
      { status: Status.OK, reservation: { expires, addresses, voucher }, limit },
      signal,
    );
  }

  async function onConnect(
    messages: Messages,
    connection: Connection,
    targetId: PeerId,
    signal: AbortSignal,
  ): Promise<void> {
    const [source, target] = [connection.remotePeer.toString(), targetId.toString()];
    if (isRelayed(connection)) {
      metrics.circuit('relayed');
      return refuse(messages, Status.PERMISSION_DENIED, signal);
    }
    const decision = ledger.openCircuit(source, target);
    if (!decision.allowed) {
      log.debug({ source, target, reason: decision.reason }, 'connect refused');
      metrics.circuit(decision.reason);
      return refuse(messages, CONNECT_STATUS[decision.reason], signal);
    }
    try {
      const stopStream = await stop.open(connection.remotePeer, targetId, signal);
      if (stopStream === undefined) {
        metrics.circuit('target_unreachable');
        return await refuse(messages, Status.CONNECTION_FAILED, signal);
      }
      try {
        await answer(messages, { status: Status.OK, limit }, signal);
      } catch (error) {
        stopStream.abort(toError(error));
        throw error;
      }
      await runCircuit(messages.unwrap(), stopStream, { source, target });
    } finally {
      ledger.closeCircuit(source, target);
    }
  }

  async function runCircuit(
    source: Stream,
    target: Stream,
    peers: { source: string; target: string },
  ): Promise<void> {
    metrics.circuit('ok');
    log.debug(peers, 'circuit opened');
    const shared = ledger.bytesOf(peers.source);
    const own = options.createCircuitRate();
    const summary = await joinStreams(source, target, {
      limit,
      idleSeconds: options.idleSeconds,
      rates: [shared, own].filter((rate) => rate !== undefined),
      buffers: options.buffers,
      signal: shutdown.signal,
      onBytes: metrics.bytes,
    });
    metrics.circuitEnded(summary);
    log.debug({ ...peers, ...summary }, 'circuit ended');
  }

  async function serve(stream: Stream, connection: Connection): Promise<void> {
    const signal = AbortSignal.any([shutdown.signal, AbortSignal.timeout(HOP_TIMEOUT_MS)]);
    const messages = pbStream(stream, FRAMING);
    const request = await readRequest(messages, signal);
    if (request.type === 'reserve') return onReserve(messages, connection, signal);
    if (request.type === 'connect') return onConnect(messages, connection, request.target, signal);
    metrics.malformed();
    const isMalformed = request.type === 'malformed';
    await refuse(messages, isMalformed ? Status.MALFORMED_MESSAGE : Status.UNEXPECTED_MESSAGE, signal);
  }

  return {
    async handle(stream, connection) {
      const work = serve(stream, connection).catch((error: unknown) => {
        log.debug({ peer: connection.remotePeer.toString(), error: describeError(error) }, 'hop failed');
        stream.abort(toError(error));
      });
      running.add(work);
      await work;
      running.delete(work);
    },
    async settled(signal) {
      const stopped = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      await Promise.race([Promise.all(running), stopped]);
    },
    stop: () => shutdown.abort(),
  };
}

async function answer(messages: Messages, content: HopAnswer, signal: AbortSignal): Promise<void> {
  await messages.write(content, { encode: encodeHopAnswer }, { signal });
}

/** Answers for the last time. A peer that does not close its side too is cut off when the time is up. */
async function conclude(messages: Messages, content: HopAnswer, signal: AbortSignal): Promise<void> {
  await answer(messages, content, signal);
  const stream = messages.unwrap();
  const cutOff = (): void => stream.abort(new Error('the exchange took too long'));
  signal.addEventListener('abort', cutOff, { once: true });
  // Until its time is up a signal holds what listens to it, and with a stream its whole connection.
  stream.addEventListener('close', () => signal.removeEventListener('abort', cutOff));
  await stream.close({ signal });
}

async function refuse(messages: Messages, status: Status, signal: AbortSignal): Promise<void> {
  await conclude(messages, { status }, signal);
}

type Request =
  | { readonly type: 'reserve' | 'other' | 'malformed' }
  | { readonly type: 'connect'; readonly target: PeerId };

/** What reading throws over a length that is beyond the limit. */
const LENGTH_ERRORS = new Set(['ERR_MSG_DATA_TOO_LONG', 'ERR_MSG_LENGTH_TOO_LONG']);

// Malformed is a value, so that it can be answered on the stream it came from.
async function readRequest(messages: Messages, signal: AbortSignal): Promise<Request> {
  try {
    return await messages.read({ decode: decodeRequest }, { signal });
  } catch (error) {
    if (LENGTH_ERRORS.has(errorCode(error))) return { type: 'malformed' };
    throw error;
  }
}

function decodeRequest(bytes: Parameters<typeof decodeHopRequest>[0]): Request {
  try {
    const request = decodeHopRequest(bytes);
    if (request.type !== 'connect') return request;
    return { type: 'connect', target: peerIdFromMultihash(decodeMultihash(request.target)) };
  } catch {
    return { type: 'malformed' };
  }
}

/** The proof that a peer has a reservation: signed by the relay, for others to check. */
export async function sealVoucher(
  identity: PrivateKey,
  relay: PeerId,
  peer: PeerId,
  expires: number,
): Promise<Uint8Array> {
  const payload = encodeVoucher(relay.toMultihash().bytes, peer.toMultihash().bytes, expires);
  const envelope = await RecordEnvelope.seal(
    { domain: VOUCHER_DOMAIN, codec: VOUCHER_CODEC, marshal: () => payload, equals: () => false },
    identity,
  );
  return envelope.marshal();
}
