// Reads the answers of one connection from the bytes of its socket, without an object per answer, and compares every byte
// of their bodies.

/** A body that was found right. */
export interface CheckedBody {
  readonly bytes: Buffer;
  /** The number of registrations that the body must contain at least, or any other number that orders bodies. */
  readonly reflects: number;
}

/** Knows the right bodies of the answers. */
export interface BodyCheck {
  /** The status of every answer; `undefined`: any. */
  readonly status: number | undefined;
  /** The body that the next answer probably has. It is compared as it arrives. */
  readonly probable: CheckedBody;
  /** Checks another body. @throws Error when it is wrong */
  check(body: Buffer): CheckedBody;
}

/** A check for answers that are always the same. */
export function exactBody(status: number, bytes: Buffer): BodyCheck {
  return {
    status,
    probable: { bytes, reflects: 0 },
    check(body) {
      throw new Error(`An answer has the body ${quoted(body)} instead of ${quoted(bytes)}.`);
    },
  };
}

function quoted(body: Buffer): string {
  return JSON.stringify(body.toString('latin1', 0, MAX_QUOTED_BYTES));
}

const MAX_QUOTED_BYTES = 200;

/** A longer head is an error. Heads of a tracker have about 250 bytes. */
const MAX_HEAD_BYTES = 4_096;

/** A longer body is an error. Listings have at most 512 KiB. */
const MAX_BODY_BYTES = 1024 * 1024;

const HEAD_END = Buffer.from('\r\n\r\n');
const NEWLINE = 10;

/** The length of a body in chunks, which is not known before its end. */
const CHUNKED = -1;

/**
 * One per connection, which has one request at a time. A class without closures: it is called for each read of the load,
 * whose CPU time must stay below that of the server.
 */
export class AnswerReader {
  /** The body of the last complete answer. */
  body: CheckedBody;
  readonly #check: BodyCheck;
  /** The last head, which the next one mostly equals. */
  #head: Buffer = Buffer.alloc(0);
  /** Length of the body after such a head, or `CHUNKED`. */
  #bodyBytes = 0;
  /** The start of a head that has not completely arrived. */
  #partialHead: Buffer = Buffer.alloc(0);
  #isInBody = false;
  /** Bytes of the body so far. */
  #offset = 0;
  /** The bytes of a body that differs from the probable one. */
  #copy: Buffer | undefined;
  /** Bytes of the chunk that have not arrived, the start of a line between chunks, and whether the last chunk was read. */
  #chunkLeft = 0;
  #line = '';
  #isLastChunk = false;

  constructor(check: BodyCheck) {
    this.#check = check;
    this.body = check.probable;
  }

  /** The head of the last answer. */
  get head(): string {
    return this.#head.toString('latin1');
  }

  /**
   * Reads the bytes from 0 to `length`.
   *
   * @returns whether the answer is complete
   * @throws Error for a wrong answer, and for bytes after it
   */
  read(bytes: Buffer, length: number): boolean {
    let at = 0;
    if (!this.#isInBody) {
      at = this.#readHead(bytes, length);
      if (at === -1) return false;
      this.#isInBody = true;
      this.#offset = 0;
      this.#copy = undefined;
      this.#isLastChunk = false;
      this.body = this.#check.probable;
    }
    if (this.#bodyBytes === CHUNKED) {
      if (!this.#readChunks(bytes, at, length)) return false;
    } else {
      if (this.#offset + length - at > this.#bodyBytes) throw new Error('There are bytes after an answer.');
      if (at < length) this.#readBody(bytes, at, length);
      if (this.#offset < this.#bodyBytes) return false;
    }
    this.#isInBody = false;
    this.#finish();
    return true;
  }

  /** @returns the index after the head; -1 while it is not complete */
  #readHead(bytes: Buffer, length: number): number {
    const last = this.#head;
    const isSame =
      this.#partialHead.length === 0 &&
      last.length > 0 &&
      length >= last.length &&
      bytes.compare(last, 0, last.length, 0, last.length) === 0;
    if (isSame) return last.length;
    const kept = this.#partialHead.length;
    const arrived = bytes.subarray(0, length);
    const all = kept === 0 ? arrived : Buffer.concat([this.#partialHead, arrived]);
    const end = all.indexOf(HEAD_END);
    if (end === -1) {
      if (all.length > MAX_HEAD_BYTES) throw new Error('The head of an answer has no end.');
      this.#partialHead = Buffer.from(all);
      return -1;
    }
    this.#partialHead = Buffer.alloc(0);
    this.#head = Buffer.from(all.subarray(0, end + HEAD_END.length));
    this.#bodyBytes = bodyBytesOf(this.head, this.#check.status);
    return this.#head.length - kept;
  }

  #readBody(bytes: Buffer, at: number, end: number): void {
    const { bytes: probable } = this.body;
    const [offset, count] = [this.#offset, end - at];
    this.#offset += count;
    if (this.#copy === undefined) {
      const isSame =
        this.#offset <= probable.length && bytes.compare(probable, offset, offset + count, at, end) === 0;
      if (isSame) return;
      if (this.#bodyBytes > MAX_BODY_BYTES) throw new Error(`A body has ${this.#bodyBytes} bytes.`);
      this.#copy = Buffer.allocUnsafe(this.#bodyBytes === CHUNKED ? MAX_BODY_BYTES : this.#bodyBytes);
      probable.copy(this.#copy, 0, 0, offset);
    }
    if (this.#offset > this.#copy.length) throw new Error(`A body has more than ${this.#copy.length} bytes.`);
    bytes.copy(this.#copy, offset, at, end);
  }

  /** RFC 9112 section 7.1. @returns whether the last chunk and the lines after it were read */
  #readChunks(bytes: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      if (this.#chunkLeft > 0) {
        const part = Math.min(this.#chunkLeft, end - at);
        this.#readBody(bytes, at, at + part);
        this.#chunkLeft -= part;
        at += part;
        continue;
      }
      const newline = bytes.indexOf(NEWLINE, at);
      if (newline === -1 || newline >= end) {
        this.#line += bytes.toString('latin1', at, end);
        return false;
      }
      const line = (this.#line + bytes.toString('latin1', at, newline)).trim();
      this.#line = '';
      at = newline + 1;
      if (this.#isLastChunk) {
        if (line !== '') continue;
        if (at < end) throw new Error('There are bytes after an answer.');
        return true;
      }
      // An empty line ends a chunk.
      if (line !== '') this.#chunkLeft = chunkSize(line);
      this.#isLastChunk = line !== '' && this.#chunkLeft === 0;
    }
    return false;
  }

  #finish(): void {
    if (this.#copy === undefined && this.#offset !== this.body.bytes.length) this.#copy = this.body.bytes;
    if (this.#copy !== undefined) this.body = this.#check.check(this.#copy.subarray(0, this.#offset));
  }
}

/** @returns the length of the body after a head in bytes, or `CHUNKED` */
function bodyBytesOf(head: string, expected: number | undefined): number {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
  if (expected !== undefined && status !== expected)
    throw new Error(`An answer has the status ${status} instead of ${expected}: ${JSON.stringify(head)}.`);
  if (status === 204 || status === 304) return 0;
  if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) return CHUNKED;
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`The body of an answer has no length: ${JSON.stringify(head)}.`);
  return Number(length);
}

/** @throws Error when the line is not the start of a chunk */
function chunkSize(line: string): number {
  const size = Number.parseInt(line, 16);
  if (Number.isNaN(size)) throw new Error(`An answer has the chunk size ${JSON.stringify(line)}.`);
  return size;
}
