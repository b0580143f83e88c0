// The protobuf messages of circuit-relay-v2 that a relay reads and writes.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#protobuf
import { reader, writer, type Writer } from 'protons-runtime';
import type { Uint8ArrayList } from 'uint8arraylist';
import { refused, type Result } from '../shared/result.ts';
import type { RelayLimits } from './config.ts';

/** Maximum size of a hop or stop message in bytes, as in the specification. A larger message is malformed. */
export const MAX_MESSAGE_BYTES = 4096;

/** Maximum bytes of the varint before a message. The length 4096 requires two. */
const MAX_LENGTH_BYTES = 2;

/** The framing of messages in a stream: a varint with the length of the message, then the message. Both are limited. */
export const FRAMING = {
  maxDataLength: MAX_MESSAGE_BYTES,
  /** @throws RangeError when the varint is incomplete, as the reader expects; LengthError when it is too long. */
  lengthDecoder(varint: Uint8ArrayList): number {
    const bytes = varint.subarray();
    const isComplete = (bytes.at(-1) ?? 0) < 0x80;
    if (isComplete) return bytes.reduceRight((value, byte) => value * 0x80 + (byte & 0x7f), 0);
    if (bytes.length >= MAX_LENGTH_BYTES) throw new LengthError();
    throw new RangeError('The length is incomplete.');
  },
};

/** The varint with the length of a message is longer than that of the largest message. */
class LengthError extends Error {
  override readonly name = 'LengthError';
  readonly code = 'ERR_MSG_LENGTH_TOO_LONG';

  constructor() {
    super(`The length of the message has more than ${MAX_LENGTH_BYTES} bytes.`);
  }
}

/** The message after its length, which must be below 16 KiB. */
export function withLength(message: Uint8Array): Uint8Array {
  const lengthBytes = message.length < 0x80 ? 1 : 2;
  const framed = new Uint8Array(lengthBytes + message.length);
  framed[0] = lengthBytes === 1 ? message.length : (message.length & 0x7f) | 0x80;
  if (lengthBytes === 2) framed[1] = message.length >> 7;
  framed.set(message, lengthBytes);
  return framed;
}

export const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';
export const STOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/stop';

export const Status = {
  OK: 100,
  RESERVATION_REFUSED: 200,
  RESOURCE_LIMIT_EXCEEDED: 201,
  PERMISSION_DENIED: 202,
  CONNECTION_FAILED: 203,
  NO_RESERVATION: 204,
  MALFORMED_MESSAGE: 400,
  UNEXPECTED_MESSAGE: 401,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** The limits of a circuit in a message: whole seconds, and bytes in each direction. */
export interface CircuitLimit {
  readonly seconds: number;
  readonly bytes: number;
}

/** The configured limits of a circuit in the form that messages use. */
export function circuitLimit({
  circuitSeconds,
  circuitBytes,
}: Pick<RelayLimits, 'circuitSeconds' | 'circuitBytes'>): CircuitLimit {
  return { seconds: circuitSeconds, bytes: circuitBytes };
}

/** A request to the relay. The target is the multihash of its peer id. */
export type HopRequest =
  | { readonly type: 'reserve' }
  | { readonly type: 'connect'; readonly target: Uint8Array };

/** Why a message is not a request; `unexpected` is a valid message of another type, such as a status. */
export type RequestRejection = 'malformed' | 'unexpected';

export interface HopResponse {
  readonly status: Status;
  readonly limit?: CircuitLimit;
  readonly reservation?: {
    readonly expiresUnixSeconds: number;
    readonly addresses: readonly Uint8Array[];
    /** A signed envelope. */
    readonly voucher: Uint8Array;
  };
}

/** The request to a target to accept a circuit from `source`. */
export interface StopRequest {
  readonly source: Uint8Array;
  readonly limit: CircuitLimit;
}

const HOP_RESERVE = 0;
const HOP_CONNECT = 1;
const HOP_STATUS = 2;
const STOP_CONNECT = 0;
const STOP_STATUS = 1;

/** The protobuf wire types of these messages. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** Decodes a request; unknown fields are skipped. A CONNECT without a target is malformed. */
export function decodeHopRequest(
  bytes: Uint8Array | Uint8ArrayList,
): Result<{ readonly request: HopRequest }, RequestRejection> {
  try {
    return decodeRequest(bytes);
  } catch {
    return refused('malformed');
  }
}

/** @throws when the bytes are not a protobuf message */
function decodeRequest(
  bytes: Uint8Array | Uint8ArrayList,
): Result<{ readonly request: HopRequest }, RequestRejection> {
  let type: number | undefined;
  let target: Uint8Array | undefined;
  forEachField(bytes, (field, read) => {
    if (field === varint(1)) type = read.uint32();
    else if (field === bytesOf(2)) target = decodePeer(read.bytes());
    else return false;
    return true;
  });
  if (type === HOP_RESERVE) return { ok: true, request: { type: 'reserve' } };
  if (type === HOP_CONNECT && target !== undefined) return { ok: true, request: { type: 'connect', target } };
  return refused(type === undefined || type === HOP_CONNECT ? 'malformed' : 'unexpected');
}

export function encodeHopResponse({ status, reservation, limit }: HopResponse): Uint8Array {
  const w = writer();
  writeVarint(w, 1, HOP_STATUS);
  if (reservation !== undefined) {
    writeMessage(w, 3, () => {
      writeVarint(w, 1, reservation.expiresUnixSeconds);
      for (const address of reservation.addresses) writeBytes(w, 2, address);
      writeBytes(w, 3, reservation.voucher);
    });
  }
  if (limit !== undefined) writeLimit(w, 4, limit);
  writeVarint(w, 5, status);
  return w.finish();
}

export function encodeStopRequest({ source, limit }: StopRequest): Uint8Array {
  const w = writer();
  writeVarint(w, 1, STOP_CONNECT);
  writeMessage(w, 2, () => writeBytes(w, 1, source));
  writeLimit(w, 3, limit);
  return w.finish();
}

/** Decodes the status in the response of a target. @throws when the bytes are not a status message */
export function decodeStopResponse(bytes: Uint8Array | Uint8ArrayList): number {
  let type: number | undefined;
  let status: number | undefined;
  forEachField(bytes, (field, read) => {
    if (field === varint(1)) type = read.uint32();
    else if (field === varint(4)) status = read.uint32();
    else return false;
    return true;
  });
  if (type !== STOP_STATUS || status === undefined)
    throw new Error('The response of the target is not a status message.');
  return status;
}

/** The payload of a reservation voucher, to be sealed into a signed envelope. */
export function encodeVoucher(relay: Uint8Array, peer: Uint8Array, expiresUnixSeconds: number): Uint8Array {
  const w = writer();
  writeBytes(w, 1, relay);
  writeBytes(w, 2, peer);
  writeVarint(w, 3, expiresUnixSeconds);
  return w.finish();
}

function decodePeer(bytes: Uint8Array): Uint8Array | undefined {
  let id: Uint8Array | undefined;
  forEachField(bytes, (field, read) => {
    if (field !== bytesOf(1)) return false;
    id = read.bytes();
    return true;
  });
  return id;
}

// The tags of fields: the number of the field and its wire type.
const varint = (field: number): number => (field << 3) | VARINT;
const bytesOf = (field: number): number => (field << 3) | LENGTH_DELIMITED;

// Calls `take` for each field. A field for which it returns false is skipped, as protobuf requires for unknown fields.
function forEachField(
  bytes: Uint8Array | Uint8ArrayList,
  take: (field: number, read: ReturnType<typeof reader>) => boolean,
): void {
  const read = reader(bytes);
  while (read.pos < read.len) {
    const field = read.uint32();
    const start = read.pos;
    if (!take(field, read)) read.skipType(field & 7);
    if (read.pos === start || read.pos > read.len) throw new Error('The message is truncated.');
  }
}

function writeVarint(w: Writer, field: number, value: number): void {
  w.uint32(varint(field)).uint64Number(value);
}

function writeBytes(w: Writer, field: number, bytes: Uint8Array): void {
  w.uint32(bytesOf(field)).bytes(bytes);
}

function writeMessage(w: Writer, field: number, write: () => void): void {
  w.uint32(bytesOf(field)).fork();
  write();
  w.ldelim();
}

function writeLimit(w: Writer, field: number, { seconds, bytes }: CircuitLimit): void {
  writeMessage(w, field, () => {
    writeVarint(w, 1, seconds);
    writeVarint(w, 2, bytes);
  });
}
