// Reads the JSON of a listing while it arrives, and returns its records one by one: a record that is not valid, or that
// is huge, hides no other, and a long listing needs no more memory than its records.
import { describeError } from '../../shared/errors.ts';

/** Maximum size of one record in bytes: that of a registration at our tracker, and the fields that it adds. */
const MAX_RECORD_BYTES = 96 * 1024;

/** Maximum records of one response. Millions of tiny ones would need much more memory than their bytes. */
const MAX_RECORDS = 25_000;

/** Maximum values of one record: its addresses and the fields of `meta` are fewer. Each would need more memory than its bytes. */
const MAX_RECORD_VALUES = 1_024;

/** The lists whose items are returned one by one. */
const LISTS = ['peers', 'revocations'] as const;
type ListName = (typeof LISTS)[number];

/** What one response contains. */
export interface ListingBody {
  /** The items of each list, parsed; `undefined` for a list that the response does not have. */
  readonly lists: Readonly<Record<ListName, readonly unknown[] | undefined>>;
  /** Items that are not JSON, longer than `MAX_RECORD_BYTES` or have more than `MAX_RECORD_VALUES`. */
  readonly unreadable: number;
  /** The cursor of the next page, if the tracker has pages and this is not the last one. */
  readonly nextCursor: string | undefined;
  readonly bytes: number;
  /** Why the end of the response is missing, as the end of a sentence; `undefined` when it was read completely. */
  readonly cut: string | undefined;
}

/** The response is not a JSON object. */
export class NotListingError extends Error {
  override readonly name = 'NotListingError';
  readonly code = 'NOT_LISTING';

  constructor() {
    super('The response is not a JSON object.');
  }
}

const [QUOTE = 0, BACKSLASH, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] =
  Buffer.from('"\\,:[]{}');

/**
 * Reads at most `maxBytes` bytes. If the response ends early, the records before its end are returned.
 *
 * @throws NotListingError, or the error of a body without a record
 */
export async function readListing(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<ListingBody> {
  const scanner = createScanner();
  let bytes = 0;
  let cut: string | undefined = 'its end is missing';
  try {
    for await (const chunk of body) {
      const part = chunk.subarray(0, maxBytes - bytes);
      scanner.push(part);
      bytes += part.length;
      if (scanner.isFull()) cut = `one response has more than ${MAX_RECORDS} records`;
      else if (part.length < chunk.length) cut = `it has more than ${maxBytes} bytes`;
      else if (!scanner.isDone()) continue;
      break;
    }
  } catch (error) {
    const { peers = [] } = scanner.result().lists;
    if (peers.length === 0) throw error;
    cut = `its end did not arrive: ${describeError(error).replace(/\.$/, '')}`;
  }
  return { ...scanner.result(), bytes, cut: scanner.isDone() ? undefined : cut };
}

/** The bytes since the last separator, which may be in several chunks. */
function createCapture() {
  let parts: Uint8Array[] = [];
  let length = 0;
  return {
    add(part: Uint8Array): void {
      length += part.length;
      // A long record is not kept, but its end is found.
      if (length > MAX_RECORD_BYTES) parts = [];
      else if (part.length > 0) parts.push(part);
    },
    /** Returns what was captured, `undefined` when it is too long, and starts again. */
    take(): string | undefined {
      const text = length > MAX_RECORD_BYTES ? undefined : toText(parts);
      parts = [];
      length = 0;
      return text;
    },
    isBlank: (): boolean => length <= MAX_RECORD_BYTES && toText(parts) === '',
  };
}

function toText(parts: readonly Uint8Array[]): string {
  return parts.length === 0 ? '' : Buffer.concat(parts).toString('utf8').trim();
}

function createScanner() {
  const lists: Record<ListName, unknown[] | undefined> = { peers: undefined, revocations: undefined };
  const capture = createCapture();
  let [depth, records, unreadable] = [0, 0, 0];
  let nextCursor: string | undefined;
  let [isInString, isEscaped, isDone] = [false, false, false];
  let key: unknown;
  /** The list whose items are read now. */
  let items: unknown[] | undefined;

  function endItem(): void {
    const text = capture.take();
    if (text === '') return;
    records += 1;
    const value = text === undefined || hasManyValues(text) ? undefined : parse(text);
    if (value === undefined) unreadable += 1;
    else items?.push(value);
  }

  function endField(): void {
    const text = capture.take();
    if (key !== 'next_cursor' || text === undefined) return;
    const value = parse(text);
    nextCursor = typeof value === 'string' ? value : undefined;
  }

  /** Handles a byte between two captures. Returns whether it belongs to none of them. */
  function isSeparator(byte: number): boolean {
    switch (byte) {
      case OPEN_LIST:
      case OPEN_OBJECT:
        depth += 1;
        if (depth === 2 && items === undefined && byte === OPEN_LIST && capture.isBlank()) {
          const list = LISTS.find((name) => name === key);
          if (list !== undefined) items = lists[list] ??= [];
          return items !== undefined;
        }
        if (depth === 1 && byte !== OPEN_OBJECT) throw new NotListingError();
        return depth === 1;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth -= 1;
        if (items === undefined) endField();
        else endItem();
        items = undefined;
        isDone = depth === 0;
        return true;
      case COMMA:
        if (items === undefined) endField();
        else endItem();
        return true;
      default:
        if (items !== undefined) return false;
        key = parse(capture.take() ?? '');
        return true;
    }
  }

  function skipStringByte(byte: number): void {
    if (isEscaped) isEscaped = false;
    else if (byte === BACKSLASH) isEscaped = true;
    else if (byte === QUOTE) isInString = false;
  }

  const isFull = (): boolean => records >= MAX_RECORDS;

  function push(chunk: Uint8Array): void {
    let start = 0;
    for (let index = 0; index < chunk.length && !isDone && !isFull(); index += 1) {
      const byte = chunk[index] ?? 0;
      if (isInString) skipStringByte(byte);
      else if (depth === 0 && byte > 0x20 && byte !== OPEN_OBJECT) throw new NotListingError();
      else if (byte === QUOTE) isInString = true;
      else if (isStructural(byte)) {
        // What is nested deeper than a record or a field belongs to its capture.
        const nested = depth - (items === undefined ? 1 : 2);
        if (nested > 0) depth += depthChange(byte);
        else {
          capture.add(chunk.subarray(start, index));
          start = isSeparator(byte) ? index + 1 : index;
        }
      }
    }
    capture.add(chunk.subarray(start));
  }

  return { push, isFull, isDone: () => isDone, result: () => ({ lists, unreadable, nextCursor }) };
}

function depthChange(byte: number): number {
  if (byte === OPEN_LIST || byte === OPEN_OBJECT) return 1;
  return byte === CLOSE_LIST || byte === CLOSE_OBJECT ? -1 : 0;
}

function isStructural(byte: number): boolean {
  return byte === COMMA || byte === COLON || depthChange(byte) !== 0;
}

/** Whether a JSON text may have too many values. Counts before they are created, and also counts characters in texts. */
function hasManyValues(text: string): boolean {
  let count = 0;
  for (const character of text) if (',[{'.includes(character)) count += 1;
  return count > MAX_RECORD_VALUES;
}

/** The value of a JSON text; `undefined` when the text is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
