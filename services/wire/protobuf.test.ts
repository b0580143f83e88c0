import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { reader, writer } from 'protons-runtime';
import { bytesField, encodeVarint, numberField, ProtobufReader } from './protobuf.ts';

interface Field {
  readonly field: number;
  readonly value: number | string;
}

function readAll(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  const read = new ProtobufReader(Buffer.from(message));
  while (read.next())
    fields.push({
      field: read.field,
      value: read.bytes === undefined ? read.number : read.bytes.toString('hex'),
    });
  return fields;
}

const number = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1), fc.maxSafeNat());
const content = fc.oneof(number, fc.uint8Array({ maxLength: 300 }));
const field = fc.tuple(
  fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2 ** 28 })),
  content,
);

test('reads and writes what the stock implementation writes and reads', () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 6 }), (fields) => {
      const stock = writer();
      const ours: Buffer[] = [];
      for (const [id, value] of fields)
        if (typeof value === 'number') {
          stock.uint32((id << 3) >>> 0).uint64Number(value);
          ours.push(numberField(id, value));
        } else {
          stock.uint32(((id << 3) | 2) >>> 0).bytes(value);
          ours.push(bytesField(id, value));
        }
      const message = stock.finish();
      expect(Buffer.concat(ours).equals(message)).toBe(true);
      expect(readAll(message)).toEqual(
        fields.map(([id, value]) => ({
          field: id,
          value: typeof value === 'number' ? value : Buffer.from(value).toString('hex'),
        })),
      );
    }),
    { seed: 16, numRuns: 300 },
  );
});

test('numbers have the bytes of the stock implementation', () => {
  fc.assert(
    fc.property(number, (value) => {
      const bytes = Buffer.from(encodeVarint(value));
      expect(bytes).toEqual(Buffer.from(writer().uint64Number(value).finish()));
      expect(reader(bytes).uint64Number()).toBe(value);
    }),
    { seed: 16, numRuns: 300 },
  );
});

test('any bytes are read to their end, or refused', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    field.map(([id, value]) => (typeof value === 'number' ? numberField(id, value) : bytesField(id, value))),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), fc.nat(20), (pieces, cut) => {
      const bytes = Buffer.concat(pieces);
      const message = bytes.subarray(0, Math.max(0, bytes.length - cut));
      try {
        const fields = readAll(message);
        expect(fields.length).toBeLessThanOrEqual(message.length / 2);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { seed: 16, numRuns: 1000 },
  );
});
