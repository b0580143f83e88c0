// What rust-, go- and js-libp2p said to the hop side, and what it answered that they took. `e2e/interop/record.ts` records.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { peerIdFromString } from '@libp2p/peer-id';
import { reader } from 'protons-runtime';
import { Uint8ArrayList } from 'uint8arraylist';
// The codec of the stock implementation is the reference for the wire; its package does not export it.
import { HopMessage, StopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import {
  decodeHopRequest,
  decodeStopAnswer,
  encodeHopAnswer,
  encodeStopRequest,
  FRAMING,
  type Limit,
  Status,
} from './messages.ts';

/** The wire type of protobuf for bytes and messages. */
const LENGTH_DELIMITED = 2;

interface Exchange {
  readonly request: string;
  readonly answer: string;
}

interface Transcript {
  readonly program: string;
  readonly target: string;
  readonly reserve: Exchange;
  readonly connect: Exchange;
  readonly stop: Exchange;
}

const path = join(import.meta.dirname, 'hop.transcripts.json');
const { exchanges } = JSON.parse(readFileSync(path, 'utf8')) as { exchanges: Transcript[] };

/** The message behind its length. */
function unframe(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  const digits = (bytes[0] ?? 0) < 0x80 ? 1 : 2;
  const length = FRAMING.lengthDecoder(new Uint8ArrayList(bytes.subarray(0, digits)));
  expect(bytes).toHaveLength(digits + length);
  return new Uint8Array(bytes.subarray(digits));
}

/** The bytes of a field. */
function fieldOf(message: Uint8Array, field: number): Uint8Array {
  const read = reader(message);
  while (read.pos < read.len) {
    const tag = read.uint32();
    if (tag === ((field << 3) | LENGTH_DELIMITED)) return read.bytes();
    read.skipType(tag & 7);
  }
  throw new Error(`the message has no field ${field}`);
}

function limitOf(limit: { duration?: number | undefined; data?: bigint | undefined } | undefined): Limit {
  return { seconds: Number(limit?.duration), bytes: Number(limit?.data) };
}

describe.each(exchanges)('what $program said', ({ target, reserve, connect, stop }) => {
  test('is read as a reservation, a connection to its target, and a circuit that it takes', () => {
    expect(decodeHopRequest(unframe(reserve.request))).toEqual({ type: 'reserve' });
    expect(decodeHopRequest(unframe(connect.request))).toEqual({
      type: 'connect',
      target: peerIdFromString(target).toMultihash().bytes,
    });
    expect(decodeStopAnswer(unframe(stop.answer))).toBe(Status.OK);
  });

  test('was answered with the bytes that we write today', () => {
    const reserved = unframe(reserve.answer);
    const { reservation, limit } = HopMessage.decode(reserved);
    expect(limitOf(limit)).toEqual({ seconds: 900, bytes: 64 * 1024 * 1024 });
    // The stock codec takes the voucher apart, so it is found by its place: field 3 of the reservation, which is field 3.
    const voucher = fieldOf(fieldOf(reserved, 3), 3);
    expect(
      encodeHopAnswer({
        status: Status.OK,
        limit: limitOf(limit),
        reservation: {
          expires: Number(reservation?.expire),
          addresses: reservation?.addrs ?? [],
          voucher,
        },
      }),
    ).toEqual(reserved);
    const connected = unframe(connect.answer);
    expect(
      encodeHopAnswer({ status: Status.OK, limit: limitOf(HopMessage.decode(connected).limit) }),
    ).toEqual(connected);
    const asked = unframe(stop.request);
    const { peer, limit: told } = StopMessage.decode(asked);
    expect(encodeStopRequest({ source: peer?.id ?? new Uint8Array(), limit: limitOf(told) })).toEqual(asked);
  });
});
