import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
// The codec of the stock implementation is the reference for the wire; its package does not export it.
import {
  HopMessage,
  ReservationVoucher,
  Status as StockStatus,
  StopMessage,
} from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import * as fc from 'fast-check';
import { refused } from '../shared/result.ts';
import { MAX_ANNOUNCED, MAX_ANNOUNCED_BYTES } from './announce.ts';
import {
  decodeHopRequest,
  decodeStopResponse,
  encodeHopResponse,
  encodeStopRequest,
  encodeVoucher,
  MAX_MESSAGE_BYTES,
  Status,
} from './messages.ts';

const id = randomBytes(38);

const RESERVE = { ok: true, request: { type: 'reserve' } };

describe('a message of the stock client', () => {
  test('is decoded as a RESERVE request', () => {
    expect(decodeHopRequest(HopMessage.encode({ type: HopMessage.Type.RESERVE }))).toEqual(RESERVE);
  });

  test('is decoded as a CONNECT request', () => {
    const bytes = HopMessage.encode({
      type: HopMessage.Type.CONNECT,
      peer: { id, addrs: [randomBytes(8), randomBytes(9)] },
    });
    expect(decodeHopRequest(bytes)).toEqual({
      ok: true,
      request: { type: 'connect', target: new Uint8Array(id) },
    });
  });

  test('is unexpected when it is not a request', () => {
    const bytes = HopMessage.encode({ type: HopMessage.Type.STATUS, status: StockStatus.OK });
    expect(decodeHopRequest(bytes)).toEqual(refused('unexpected'));
    expect(decodeHopRequest(Buffer.from([0x08, 0x63]))).toEqual(refused('unexpected'));
  });

  test('is decoded as the response of a target', () => {
    const bytes = StopMessage.encode({
      type: StopMessage.Type.STATUS,
      status: StockStatus.PERMISSION_DENIED,
    });
    expect(decodeStopResponse(bytes)).toBe(Status.PERMISSION_DENIED);
  });
});

describe('a message that we encode, decoded by the stock implementation,', () => {
  test('is a refusal', () => {
    expect(HopMessage.decode(encodeHopResponse({ status: Status.RESERVATION_REFUSED }))).toEqual({
      type: HopMessage.Type.STATUS,
      status: StockStatus.RESERVATION_REFUSED,
    });
  });

  test('is a reservation with seconds, bytes and addresses', () => {
    const addresses = [randomBytes(8), randomBytes(50)];
    const bytes = encodeHopResponse({
      status: Status.OK,
      limit: { seconds: 900, bytes: 2 ** 40 },
      reservation: { expiresUnixSeconds: 1_800_000_000, addresses, voucher: Buffer.alloc(0) },
    });
    expect(HopMessage.decode(bytes)).toMatchObject({
      status: StockStatus.OK,
      limit: { duration: 900, data: 2n ** 40n },
      reservation: { expire: 1_800_000_000n, addrs: addresses.map((address) => new Uint8Array(address)) },
    });
  });

  test('is a reservation of at most 4 KiB with the maximum number of announced addresses', () => {
    const addresses = Array.from({ length: MAX_ANNOUNCED }, () =>
      randomBytes(MAX_ANNOUNCED_BYTES / MAX_ANNOUNCED),
    );
    const bytes = encodeHopResponse({
      status: Status.OK,
      limit: { seconds: 604_800, bytes: Number.MAX_SAFE_INTEGER },
      // A public key, two peer ids and a signature: twice the size for Ed25519 keys.
      reservation: { expiresUnixSeconds: 1_800_000_000, addresses, voucher: randomBytes(512) },
    });
    expect(bytes.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  });

  test('is a stop request', () => {
    expect(StopMessage.decode(encodeStopRequest({ source: id, limit: { seconds: 1, bytes: 2 } }))).toEqual({
      type: StopMessage.Type.CONNECT,
      peer: { id: new Uint8Array(id), addrs: [] },
      limit: { duration: 1, data: 2n },
    });
  });

  test('is a voucher', () => {
    const [relay, peer] = [randomBytes(38), randomBytes(38)];
    expect(ReservationVoucher.decode(encodeVoucher(relay, peer, 1_800_000_000))).toEqual({
      relay: new Uint8Array(relay),
      peer: new Uint8Array(peer),
      expiration: 1_800_000_000n,
    });
  });
});

describe('a hop request', () => {
  const reserve = Buffer.from([0x08, 0x00]);
  // Fields 9 (varint), 10 (bytes), 11 (fixed64) and 12 (fixed32) are in no version of the specification.
  const unknown = Buffer.from('48ff7f5203abcdef5900000000000000006500000000', 'hex');

  test('is decoded without its unknown fields', () => {
    expect(decodeHopRequest(Buffer.concat([unknown, reserve, unknown]))).toEqual(RESERVE);
  });

  test.each([
    ['is empty', ''],
    ['is a reservation without its type', '48ff7f'],
    ['has no target', '0801'],
    ['has a target without an id', '08011200'],
    ['is truncated in a field', '08011226aabb'],
    ['is truncated in a number', '08ff'],
    ['has a group, which no version uses', '0b0800'],
    ['has a field longer than itself', '12ffffffff0f00'],
    ['has a varint that never ends', '08ffffffffffffffffffffffff'],
    ['has a type that is bytes', '0a00'],
  ])('that %s is malformed', (_, hex) => {
    expect(decodeHopRequest(Buffer.from(hex, 'hex'))).toEqual(refused('malformed'));
  });

  test('in any order with others is the one that the stock implementation reads', () => {
    const peers = Array.from({ length: 3 }, () => ({ id: randomBytes(38), addrs: [randomBytes(8)] }));
    const part = fc.constantFrom(
      HopMessage.encode({ type: HopMessage.Type.RESERVE }),
      ...peers.map((peer) => HopMessage.encode({ type: HopMessage.Type.CONNECT, peer })),
      HopMessage.encode({ type: HopMessage.Type.STATUS, status: StockStatus.OK }),
      unknown,
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const bytes = Buffer.concat(parts);
        const decoded = decodeHopRequest(bytes);
        const { type, peer } = HopMessage.decode(bytes);
        if (type === HopMessage.Type.RESERVE) expect(decoded).toEqual(RESERVE);
        else if (type === HopMessage.Type.CONNECT && peer !== undefined)
          expect(decoded).toEqual({ ok: true, request: { type: 'connect', target: peer.id } });
        else expect(decoded).toEqual(refused(type === HopMessage.Type.STATUS ? 'unexpected' : 'malformed'));
      }),
      { seed: 16, numRuns: 300 },
    );
  });

  test('that was changed anywhere is decoded or rejected, and so is a response', () => {
    const peer = { id, addrs: [randomBytes(8)] };
    const valid = fc.constantFrom(
      HopMessage.encode({ type: HopMessage.Type.CONNECT, peer }),
      StopMessage.encode({ type: StopMessage.Type.STATUS, status: StockStatus.OK }),
      unknown,
    );
    const change = fc.tuple(fc.nat(60), fc.nat(255));
    fc.assert(
      fc.property(
        fc.array(valid, { maxLength: 3 }),
        fc.array(change, { maxLength: 2 }),
        fc.uint8Array({ maxLength: 6 }),
        (parts, changes, rest) => {
          const bytes = Buffer.concat([...parts, rest]);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          expect(decodeHopRequest(bytes)).toHaveProperty('ok');
          expect(() => statusOf(bytes)).not.toThrow();
        },
      ),
      { seed: 16, numRuns: 1000 },
    );
  });

  test('of random bytes is decoded or rejected, and never hangs', () => {
    let rejected = 0;
    for (let index = 0; index < 20_000; index += 1)
      if (!decodeHopRequest(randomBytes(index % 64)).ok) rejected += 1;
    expect(rejected).toBeGreaterThan(15_000);
  });
});

/** The status of a response; `undefined` for bytes that are not one. */
function statusOf(bytes: Buffer): number | undefined {
  try {
    return decodeStopResponse(bytes);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
