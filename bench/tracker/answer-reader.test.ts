// The load notices wrong answers, however their bytes are divided: otherwise a benchmark would measure a server that does
// not work.
import { describe, expect, test } from '@jest/globals';
import { AnswerReader, type BodyCheck, exactBody } from './answer-reader.ts';

const BODY = Buffer.from('{"ok":true,"ttl_sec":60}');
const OK = exactBody(200, BODY);
const NO_BODY = exactBody(304, Buffer.alloc(0));

function answer(body: Buffer | string, status = '200 OK'): Buffer {
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

function chunked(body: Buffer, size: number): Buffer {
  const parts: Buffer[] = [Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')];
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/** Reads bytes in pieces from one buffer that is used again, as a socket does. @returns the number of complete answers */
function readAll(reader: AnswerReader, bytes: Buffer, pieceBytes: number): number {
  const shared = Buffer.alloc(pieceBytes);
  let complete = 0;
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const length = bytes.copy(shared, 0, at, at + pieceBytes);
    if (reader.read(shared, length)) complete += 1;
  }
  return complete;
}

const sizes = Array.from({ length: 40 }, (_, n) => n + 1).concat(1_000);

describe('an answer that is read in pieces of any size', () => {
  test.each([
    ['with a length', answer(BODY), OK],
    ['in chunks', chunked(BODY, 7), OK],
    ['without a body', Buffer.from('HTTP/1.1 304 Not Modified\r\nETag: W/"a"\r\n\r\n'), NO_BODY],
  ])('%s is complete at its last byte, also the second time', (_, bytes, check) => {
    for (const size of sizes) {
      const reader = new AnswerReader(check);
      expect(readAll(reader, bytes.subarray(0, -1), size)).toBe(0);
      expect(readAll(reader, bytes.subarray(-1), size)).toBe(1);
      expect(readAll(reader, bytes, size)).toBe(1);
      expect(reader.body.bytes).toEqual(check.probable.bytes);
    }
  });

  test('is wrong with any other byte in its body', () => {
    for (const make of [answer, (body: Buffer) => chunked(body, 5)])
      for (const size of [1, 9, 1_000])
        for (let at = 0; at < BODY.length; at += 1) {
          const other = Buffer.from(BODY);
          other.writeUInt8((BODY[at] ?? 0) ^ 1, at);
          expect(() => readAll(new AnswerReader(OK), make(other), size)).toThrow('instead of');
        }
  });

  test.each([
    ['a body that ends early', answer(BODY.subarray(0, -1)), 'instead of'],
    ['chunks that end early', chunked(BODY.subarray(0, -1), 7), 'instead of'],
    ['a longer body', answer(`${BODY.toString()} `), 'instead of'],
    ['another status', answer(BODY, '429 Too Many Requests'), 'status 429 instead of 200'],
    ['no length', Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), 'no length'],
    ['a head without an end', Buffer.alloc(8_192, 'a'), 'no end'],
    ['bytes after it', Buffer.concat([answer(BODY), answer(BODY)]), 'after an answer'],
    ['bytes after its chunks', Buffer.concat([chunked(BODY, 7), BODY]), 'after an answer'],
  ])('is wrong with %s', (_, bytes, message) => {
    expect(() => readAll(new AnswerReader(OK), bytes, 10_000)).toThrow(message);
  });
});

test('a body that differs from the probable one is checked as a whole, and is the next probable one', () => {
  const bodies = ['{"peers":[1]}', '{"peers":[1,2]}', '{"peers":[3,2]}'].map((text) => Buffer.from(text));
  const checked: string[] = [];
  let probable = { bytes: Buffer.alloc(0), reflects: 0 };
  const check: BodyCheck = {
    status: 200,
    get probable() {
      return probable;
    },
    check(body) {
      checked.push(body.toString());
      probable = { bytes: Buffer.from(body), reflects: checked.length };
      return probable;
    },
  };
  for (const size of [3, 1_000]) {
    checked.length = 0;
    const reader = new AnswerReader(check);
    for (const body of bodies) {
      readAll(reader, answer(body), size);
      readAll(reader, answer(body), size);
      expect(reader.body.bytes).toEqual(body);
    }
    expect(checked.slice(-3)).toEqual(bodies.map((body) => body.toString()));
  }
});
