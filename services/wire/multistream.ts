// multistream-select without I/O (https://github.com/multiformats/multistream-select): both sides of a negotiation as state
// machines. Each message is a line, that is a text and a line feed, after its length. They serve connections, which negotiate
// their security and their muxer, and streams, which negotiate their protocol.
import { encodeVarint } from './protobuf.ts';

const HEADER = '/multistream/1.0.0';
const REFUSAL = 'na';
const LIST = 'ls';
const LINE_FEED = 0x0a;

/** Maximum length of a line with its line feed, in bytes: that of the implementation in go. */
const MAX_LINE_BYTES = 1024;

/** Maximum length of the length before a line, in bytes: what `MAX_LINE_BYTES` needs. */
const MAX_LENGTH_BYTES = 2;

/** Maximum lines until a protocol is chosen: a device proposes the few that it knows. */
const MAX_LINES = 64;

/** Maximum bytes until a protocol is chosen. Known protocols have names of at most 60 bytes. */
export const MAX_NEGOTIATION_BYTES = 16 * 1024;

export type MultistreamFailure =
  /** The other side sent something that is no message of the protocol. */
  | 'MULTISTREAM_INVALID'
  /** The other side sent too many or too long lines. */
  | 'MULTISTREAM_LIMIT'
  /** The other side accepts none of the proposals. */
  | 'MULTISTREAM_UNSUPPORTED';

export class MultistreamError extends Error {
  override readonly name = 'MultistreamError';
  readonly code: MultistreamFailure;

  constructor(code: MultistreamFailure, message: string) {
    super(`The negotiation of a protocol failed: ${message}.`);
    this.code = code;
  }
}

/** Part of the message of an error for the other side that accepts none of the proposals. */
export const UNSUPPORTED = 'the other side does not support';

/** One side of a negotiation. */
export interface Negotiator {
  /** The protocol that both sides have agreed on. */
  readonly protocol: string | undefined;
  /**
   * Takes bytes of `buffer[start..end)`, and answers them with at most one write. Returns where the rest begins, which
   * belongs to the chosen protocol; `end` while there is none.
   *
   * @throws MultistreamError
   */
  take(buffer: Buffer, start: number, end: number): number;
}

/** Sends the bytes of messages. They must not be changed. */
export type WriteMessages = (bytes: Buffer) => void;

/** The bytes of lines. */
export function encodeLines(...texts: string[]): Buffer {
  return Buffer.concat(texts.map((text) => withLength(Buffer.from(`${text}\n`))));
}

/**
 * Maximum lines whose bytes are kept. Each protocol that this program knows has up to two; the lines of other sides are
 * not kept.
 */
const MAX_KEPT_LINES = 256;

/** Bytes of the lines that this side sends for each connection and each stream again. */
const keptLines = new Map<string, Buffer>();

/** The bytes of a line of ours, with the header before it if `hasHeader`. They must not be changed. */
function ownLine(text: string, hasHeader = false): Buffer {
  const key = hasHeader ? `\n${text}` : text;
  const kept = keptLines.get(key);
  if (kept !== undefined) return kept;
  const bytes = hasHeader ? encodeLines(HEADER, text) : encodeLines(text);
  if (keptLines.size < MAX_KEPT_LINES) keptLines.set(key, bytes);
  return bytes;
}

/** The side that answers: it accepts the first proposal that it knows. */
export class MultistreamResponder implements Negotiator {
  protocol: string | undefined = undefined;
  readonly #protocols: readonly string[];
  readonly #write: WriteMessages;
  readonly #lines = new LineReader();
  #state: 'awaits-header' | 'awaits-proposal' | 'done' = 'awaits-header';

  constructor(protocols: readonly string[], write: WriteMessages) {
    this.#protocols = protocols;
    this.#write = write;
  }

  take(buffer: Buffer, start: number, end: number): number {
    const answers: Buffer[] = [];
    let at = start;
    while (at < end && this.#state !== 'done') {
      at = this.#lines.take(buffer, at, end);
      if (this.#lines.text !== undefined) answers.push(this.#answer(this.#lines.text));
    }
    // One write for what is mostly one message of the other side: its header and its proposal.
    const [first] = answers;
    if (first !== undefined) this.#write(answers.length === 1 ? first : Buffer.concat(answers));
    return at;
  }

  #answer(text: string): Buffer {
    if (this.#state === 'awaits-header') {
      if (text !== HEADER) throw invalid('the first line is not the header');
      this.#state = 'awaits-proposal';
      return ownLine(HEADER);
    }
    if (this.#protocols.includes(text)) {
      this.#state = 'done';
      this.protocol = text;
      return ownLine(text);
    }
    if (text === HEADER) throw invalid('the header came twice');
    if (text === LIST) return withLength(Buffer.concat([encodeLines(...this.#protocols), Buffer.from('\n')]));
    return ownLine(REFUSAL);
  }
}

/**
 * The side that proposes. With one proposal, its caller may send bytes of the protocol at once: the other side discards them
 * if it refuses.
 */
export class MultistreamInitiator implements Negotiator {
  protocol: string | undefined = undefined;
  readonly #proposals: readonly string[];
  readonly #write: WriteMessages;
  readonly #lines = new LineReader();
  #state: 'awaits-header' | 'awaits-answer' | 'done' = 'awaits-header';
  /** Index of the proposal that waits for its answer. */
  #proposed = 0;

  /** Sends the header and the first proposal. @param proposals in the order of preference; at least one */
  constructor(proposals: readonly string[], write: WriteMessages) {
    const [first] = proposals;
    if (first === undefined) throw new RangeError('At least one protocol must be proposed.');
    this.#proposals = proposals;
    this.#write = write;
    write(ownLine(first, true));
  }

  take(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#state !== 'done') {
      at = this.#lines.take(buffer, at, end);
      if (this.#lines.text !== undefined) this.#onLine(this.#lines.text);
    }
    return at;
  }

  #onLine(text: string): void {
    const proposal = this.#proposals[this.#proposed];
    if (this.#state === 'awaits-header') {
      if (text !== HEADER) throw invalid('the first line is not the header');
      this.#state = 'awaits-answer';
    } else if (text === proposal) {
      this.#state = 'done';
      this.protocol = text;
    } else if (text === REFUSAL) this.#proposeNext();
    else throw invalid('the answer is not that to the proposal');
  }

  #proposeNext(): void {
    this.#proposed += 1;
    const next = this.#proposals[this.#proposed];
    if (next === undefined)
      throw new MultistreamError('MULTISTREAM_UNSUPPORTED', `${UNSUPPORTED} ${this.#proposals.join(' or ')}`);
    this.#write(ownLine(next));
  }
}

/** Reads lines, and counts them. */
class LineReader {
  /** The line that the last call has completed, without its line feed. */
  text: string | undefined;
  #lines = 0;
  #bytes = 0;
  /** The length of the line, as far as it was read. */
  #length = 0;
  #lengthBytes = 0;
  #hasLength = false;
  /** The beginning of a line whose end was not in the same bytes. */
  #part: Buffer | undefined;
  #received = 0;

  /** Takes bytes up to the end of a line, and returns where the rest begins. */
  take(buffer: Buffer, start: number, end: number): number {
    this.text = undefined;
    let at = start;
    while (!this.#hasLength && at < end) {
      this.#readLength(buffer[at] ?? 0);
      at += 1;
    }
    if (!this.#hasLength) return at;
    const length = Math.min(end - at, this.#length - this.#received);
    if (this.#part === undefined && length === this.#length) this.#finish(buffer, at, at + length);
    else {
      this.#part ??= Buffer.alloc(this.#length);
      buffer.copy(this.#part, this.#received, at, at + length);
      this.#received += length;
      if (this.#received === this.#length) this.#finish(this.#part, 0, this.#length);
    }
    return at + length;
  }

  #readLength(byte: number): void {
    this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes;
    this.#lengthBytes += 1;
    if (byte >= 0x80 && this.#lengthBytes < MAX_LENGTH_BYTES) return;
    if (byte >= 0x80 || this.#length > MAX_LINE_BYTES) throw limit('a line is too long');
    if (this.#length === 0) throw invalid('a line is empty');
    this.#hasLength = true;
    this.#lines += 1;
    this.#bytes += this.#lengthBytes + this.#length;
    if (this.#lines > MAX_LINES || this.#bytes > MAX_NEGOTIATION_BYTES)
      throw limit('there are too many lines');
  }

  #finish(buffer: Buffer, start: number, end: number): void {
    if (buffer[end - 1] !== LINE_FEED) throw invalid('a line has no line feed');
    this.text = buffer.toString('latin1', start, end - 1);
    this.#length = 0;
    this.#lengthBytes = 0;
    this.#hasLength = false;
    this.#part = undefined;
    this.#received = 0;
  }
}

function withLength(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(encodeVarint(bytes.length)), bytes]);
}

function invalid(message: string): MultistreamError {
  return new MultistreamError('MULTISTREAM_INVALID', message);
}

function limit(message: string): MultistreamError {
  return new MultistreamError('MULTISTREAM_LIMIT', message);
}
