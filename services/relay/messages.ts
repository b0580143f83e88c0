// The messages of circuit-relay-v2 that a relay reads and writes, as protobuf.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#protobuf
import { reader, writer, type Writer } from 'protons-runtime';
import type { Uint8ArrayList } from 'uint8arraylist';

/** Largest hop or stop message, in bytes; the limit of the specification. */
export const MAX_MESSAGE_BYTES = 4096;

/** Digits of 7 bits in the length before a message: 4096 has two. */
const MAX_LENGTH_DIGITS = 2;

/** How messages stand in a stream: each behind its length as a varint, both bounded. */
export const FRAMING = {
  maxDataLength: MAX_MESSAGE_BYTES,
  /** @throws RangeError while the number goes on, as the reader expects; LengthError when it goes on too long. */
  lengthDecoder(digits: Uint8ArrayList): number {
    const bytes = digits.subarray();
    const isComplete = (bytes.at(-1) ?? 0) < 0x80;
    if (isComplete) return bytes.reduceRight((value, digit) => value * 0x80 + (digit & 0x7f), 0);
    if (bytes.length >= MAX_LENGTH_DIGITS) throw new LengthError();
    throw new RangeError('the length goes on');
  },
};

/** The length before a message is larger than any message may be. */
class LengthError extends Error {
  override readonly name = 'LengthError';
  readonly code = 'ERR_MSG_LENGTH_TOO_LONG';
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

/** What bounds a circuit: whole seconds, and bytes in each direction. */
export interface Limit {
  readonly seconds: number;
  readonly bytes: number;
}

/** What a peer asks of a relay. `other` is a message that belongs elsewhere, such as a status. */
export type HopRequest =
  | { readonly type: 'reserve' }
  | { readonly type: 'connect'; readonly target: Uint8Array }
  | { readonly type: 'other' };

export interface HopAnswer {
  readonly status: Status;
  readonly limit?: Limit;
  readonly reservation?: {
    /** Unix time, in seconds. */
    readonly expires: number;
    readonly addresses: readonly Uint8Array[];
    /** A signed envelope. */
    readonly voucher: Uint8Array;
  };
}

/** What the relay asks of a target, on behalf of `source`. */
export interface StopRequest {
  readonly source: Uint8Array;
  readonly limit: Limit;
}

const HOP_RESERVE = 0;
const HOP_CONNECT = 1;
const HOP_STATUS = 2;
const STOP_CONNECT = 0;
const STOP_STATUS = 1;

/** The wire types of protobuf that these messages use. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** @throws when the bytes are no message, or a CONNECT names no target. Unknown fields are skipped. */
export function decodeHopRequest(bytes: Uint8Array | Uint8ArrayList): HopRequest {
  let type: number | undefined;
  let target: Uint8Array | undefined;
  forEachField(bytes, (field, read) => {
    if (field === varint(1)) type = read.uint32();
    else if (field === bytesOf(2)) target = decodePeer(read.bytes());
    else return false;
    return true;
  });
  if (type === HOP_RESERVE) return { type: 'reserve' };
  if (type === HOP_CONNECT) {
    if (target === undefined) throw new Error('a CONNECT names no peer');
    return { type: 'connect', target };
  }
  if (type === undefined) throw new Error('the message has no type');
  return { type: 'other' };
}

export function encodeHopAnswer({ status, reservation, limit }: HopAnswer): Uint8Array {
  const w = writer();
  writeVarint(w, 1, HOP_STATUS);
  if (reservation !== undefined) {
    writeMessage(w, 3, () => {
      writeVarint(w, 1, reservation.expires);
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

/** The status a target answered. @throws when the bytes are no status message. */
export function decodeStopAnswer(bytes: Uint8Array | Uint8ArrayList): number {
  let type: number | undefined;
  let status: number | undefined;
  forEachField(bytes, (field, read) => {
    if (field === varint(1)) type = read.uint32();
    else if (field === varint(4)) status = read.uint32();
    else return false;
    return true;
  });
  if (type !== STOP_STATUS || status === undefined) throw new Error('the target answered no status');
  return status;
}

/** The payload of a reservation voucher, to be sealed into a signed envelope. */
export function encodeVoucher(relay: Uint8Array, peer: Uint8Array, expires: number): Uint8Array {
  const w = writer();
  writeBytes(w, 1, relay);
  writeBytes(w, 2, peer);
  writeVarint(w, 3, expires);
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

// The number that stands before a field: which one it is, and how its value is written.
const varint = (field: number): number => (field << 3) | VARINT;
const bytesOf = (field: number): number => (field << 3) | LENGTH_DELIMITED;

// Calls `take` for each field; one it does not take is skipped, as protobuf wants of fields yet unknown.
function forEachField(
  bytes: Uint8Array | Uint8ArrayList,
  take: (field: number, read: ReturnType<typeof reader>) => boolean,
): void {
  const read = reader(bytes);
  while (read.pos < read.len) {
    const field = read.uint32();
    const start = read.pos;
    if (!take(field, read)) read.skipType(field & 7);
    if (read.pos === start || read.pos > read.len) throw new Error('the message is cut off');
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

function writeLimit(w: Writer, field: number, { seconds, bytes }: Limit): void {
  writeMessage(w, field, () => {
    writeVarint(w, 1, seconds);
    writeVarint(w, 2, bytes);
  });
}
