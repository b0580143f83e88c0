// Recorded exchanges of rust-, go- and js-libp2p with the hop side; `e2e/interop/record.ts` records them.
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
  decodeStopResponse,
  encodeHopResponse,
  encodeStopRequest,
  FRAMING,
  type CircuitLimit,
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

/** The message without its length. */
function unframe(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  const lengthBytes = (bytes[0] ?? 0) < 0x80 ? 1 : 2;
  const length = FRAMING.lengthDecoder(new Uint8ArrayList(bytes.subarray(0, lengthBytes)));
  expect(bytes).toHaveLength(lengthBytes + length);
  return new Uint8Array(bytes.subarray(lengthBytes));
}

/** The bytes of a field. */
function fieldOf(message: Uint8Array, field: number): Uint8Array {
  const read = reader(message);
  while (read.pos < read.len) {
    const tag = read.uint32();
    if (tag === ((field << 3) | LENGTH_DELIMITED)) return read.bytes();
    read.skipType(tag & 7);
  }
  throw new Error(`The message has no field ${field}.`);
}

function limitOf(
  limit: { duration?: number | undefined; data?: bigint | undefined } | undefined,
): CircuitLimit {
  return { seconds: Number(limit?.duration), bytes: Number(limit?.data) };
}

describe.each(exchanges)('the recorded exchange of $program', ({ target, reserve, connect, stop }) => {
  test('is decoded as a RESERVE request, a CONNECT request and an accepted circuit', () => {
    expect(decodeHopRequest(unframe(reserve.request))).toEqual({
      ok: true,
      request: { type: 'reserve' },
    });
    expect(decodeHopRequest(unframe(connect.request))).toEqual({
      ok: true,
      request: { type: 'connect', target: peerIdFromString(target).toMultihash().bytes },
    });
    expect(decodeStopResponse(unframe(stop.answer))).toBe(Status.OK);
  });

  test('has the responses that this version encodes', () => {
    const reserved = unframe(reserve.answer);
    const { reservation, limit } = HopMessage.decode(reserved);
    expect(limitOf(limit)).toEqual({ seconds: 900, bytes: 64 * 1024 * 1024 });
    // The stock codec decodes the voucher, so its bytes are read here: field 3 of the reservation, which is field 3.
    const voucher = fieldOf(fieldOf(reserved, 3), 3);
    expect(
      encodeHopResponse({
        status: Status.OK,
        limit: limitOf(limit),
        reservation: {
          expiresUnixSeconds: Number(reservation?.expire),
          addresses: reservation?.addrs ?? [],
          voucher,
        },
      }),
    ).toEqual(reserved);
    const connected = unframe(connect.answer);
    expect(
      encodeHopResponse({ status: Status.OK, limit: limitOf(HopMessage.decode(connected).limit) }),
    ).toEqual(connected);
    const request = unframe(stop.request);
    const { peer, limit: sent } = StopMessage.decode(request);
    expect(encodeStopRequest({ source: peer?.id ?? new Uint8Array(), limit: limitOf(sent) })).toEqual(
      request,
    );
  });
});
