// Splits a large JSON object from another device while it arrives: the items of its lists one by one, and a few plain
// fields. Only one item at a time is in memory, and nothing becomes an object before it is counted. Texts of a few kilobytes
// can otherwise decompress to millions of objects that use gigabytes.
import { createHash, type Hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';

export interface ListRules {
  /** Maximum items; a longer list is an error. */
  readonly maxItems: number;
  /** Maximum size of an item in bytes. A larger item is discarded, and reported without its bytes. */
  readonly maxItemBytes: number;
  readonly onItem: (item: JsonItem) => void;
}

/** An item of a list. */
export interface JsonItem {
  /** Its JSON; `undefined` when it is too large. */
  readonly bytes: Buffer | undefined;
  /** Estimate of the values in it, that is not less than their number. */
  readonly values: number;
  /** Maximum nesting of its lists and objects; 0 for a text or a number. */
  readonly depth: number;
  /** The hash of its JSON, also of one that is too large. */
  sha256(): string;
}

export interface SplitterOptions {
  readonly lists: Readonly<Record<string, ListRules>>;
  /** The names of the plain fields to read. The values of other fields are dropped. */
  readonly fields: readonly string[];
  /** Maximum bytes outside the items. */
  readonly maxOtherBytes: number;
}

export interface JsonSplitter {
  /** @throws JsonSplitError */
  push(chunk: Buffer): void;
  /** Ends the text. @throws JsonSplitError when it is incomplete */
  end(): SplitObject;
}

export interface SplitObject {
  /** The values of the plain fields, and of fields that should be a list but have another value. A value that is too large is `undefined`. */
  readonly fields: ReadonlyMap<string, unknown>;
  /** The number of items of each list. */
  readonly counts: ReadonlyMap<string, number>;
}

/** The text is not a JSON object, or exceeds a limit. The message is the end of a sentence. */
export class JsonSplitError extends Error {
  override readonly name = 'JsonSplitError';
  readonly code = 'JSON_INVALID';
}

/** Maximum size of a key and of a plain field in bytes. */
const MAX_FIELD_BYTES = 4096;

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c] as const;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d] as const;

/** Where the next byte belongs. Instead of the first key or item the closing bracket may come. */
type Place =
  | 'start'
  | 'first key'
  | 'key'
  | 'colon'
  | 'value'
  | 'in value'
  | 'first item'
  | 'item'
  | 'in item'
  | 'after list'
  | 'end';

/** Collects the bytes of a key, a value or an item. */
interface Capture {
  parts: Buffer[];
  size: number;
  readonly maxBytes: number;
  /** Exists when the bytes were discarded. */
  hash: Hash | undefined;
  values: number;
  depth: number;
}

export function createJsonSplitter({ lists, fields, maxOtherBytes }: SplitterOptions): JsonSplitter {
  const found = new Map<string, unknown>();
  const counts = new Map<string, number>();
  let place: Place = 'start';
  let key = '';
  let capture = createCapture(0);
  let [depth, inText, isEscaped] = [0, false, false];
  let [totalBytes, itemBytes] = [0, 0];

  function begin(next: Place, maxBytes: number): void {
    place = next;
    capture = createCapture(maxBytes);
    depth = 0;
  }

  function endKey(): void {
    key = String(parseField(capture));
    if (found.has(key) || counts.has(key)) throw new JsonSplitError(`has the field ${key} twice`);
    place = 'colon';
  }

  function endValue(): void {
    if (fields.includes(key) || Object.hasOwn(lists, key)) found.set(key, parseField(capture));
  }

  function endItem(rules: ListRules): void {
    if (capture.size === 0) throw new JsonSplitError('is not JSON');
    const count = (counts.get(key) ?? 0) + 1;
    if (count > rules.maxItems) throw new JsonSplitError(`has more than ${rules.maxItems} ${key}`);
    counts.set(key, count);
    itemBytes += capture.size;
    const { parts, hash, values, depth: itemDepth } = capture;
    const bytes = hash === undefined ? (parts.length === 1 ? parts[0] : Buffer.concat(parts)) : undefined;
    const sha256 = (): string => (hash ?? createHash('sha256').update(bytes ?? '')).digest('hex');
    rules.onItem({ bytes, values, depth: itemDepth, sha256 });
  }

  /** Handles a byte between values. Returns whether it is the first byte of a captured text. */
  function step(byte: number): boolean {
    switch (place) {
      case 'start':
        expect(byte, OPEN_OBJECT);
        place = 'first key';
        return false;
      case 'first key':
      case 'key':
        if (byte === CLOSE_OBJECT && place === 'first key') place = 'end';
        else {
          expect(byte, QUOTE);
          begin('key', MAX_FIELD_BYTES);
          return true;
        }
        return false;
      case 'colon':
        expect(byte, COLON);
        place = 'value';
        return false;
      case 'value':
        if (byte === OPEN_LIST && Object.hasOwn(lists, key)) {
          counts.set(key, 0);
          place = 'first item';
          return false;
        }
        begin('in value', MAX_FIELD_BYTES);
        return true;
      case 'first item':
      case 'item':
        if (byte === CLOSE_LIST && place === 'first item') {
          place = 'after list';
          return false;
        }
        begin('in item', lists[key]?.maxItemBytes ?? 0);
        return true;
      case 'after list':
        if (byte !== COMMA) expect(byte, CLOSE_OBJECT);
        place = byte === COMMA ? 'key' : 'end';
        return false;
      case 'in value':
      case 'in item':
      case 'end':
        break;
    }
    throw new JsonSplitError('has text after its end');
  }

  /** Handles the byte after a value or an item. */
  function endCapture(byte: number): void {
    const isItem = place === 'in item';
    if (byte === (isItem ? CLOSE_OBJECT : CLOSE_LIST)) throw new JsonSplitError('is not JSON');
    const rules = lists[key];
    if (isItem && rules !== undefined) endItem(rules);
    else endValue();
    if (byte === COMMA) place = isItem ? 'item' : 'key';
    else place = isItem ? 'after list' : 'end';
  }

  /** Handles a byte of a value or an item that is not in a text. */
  function stepInside(byte: number): void {
    if (byte === QUOTE) inText = true;
    else if (byte === COMMA) capture.values += 1;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1;
      capture.values += 1;
      capture.depth = Math.max(capture.depth, depth);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
  }

  /** The position after the text that `position` is in, or the end of the chunk. */
  function skipText(chunk: Buffer, position: number): number {
    for (let index = position; index < chunk.length; index += 1) {
      const byte = chunk[index];
      if (isEscaped) isEscaped = false;
      else if (byte === BACKSLASH) isEscaped = true;
      else if (byte === QUOTE) {
        inText = false;
        return index + 1;
      }
    }
    return chunk.length;
  }

  return {
    push(chunk) {
      totalBytes += chunk.length;
      let start = 0;
      for (let position = 0; position < chunk.length;) {
        if (inText) {
          position = skipText(chunk, position);
          if (inText || place !== 'key') continue;
          append(capture, chunk.subarray(start, position));
          endKey();
          continue;
        }
        const byte = chunk[position] ?? 0;
        if (place === 'in value' || place === 'in item') {
          if (depth === 0 && (byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT)) {
            append(capture, chunk.subarray(start, position));
            endCapture(byte);
          } else stepInside(byte);
          position += 1;
        } else if (isWhiteSpace(byte)) position += 1;
        else if (step(byte)) {
          start = position;
          if (place === 'key') {
            inText = true;
            position += 1;
          }
        } else position += 1;
      }
      if (inText || place === 'in value' || place === 'in item') append(capture, chunk.subarray(start));
      if (totalBytes - itemBytes - (place === 'in item' ? capture.size : 0) > maxOtherBytes)
        throw new JsonSplitError(`has more than ${maxOtherBytes} bytes outside its lists`);
    },
    end() {
      if (place !== 'end') throw new JsonSplitError('is not a complete JSON object');
      return { fields: found, counts };
    },
  };
}

function createCapture(maxBytes: number): Capture {
  return { parts: [], size: 0, maxBytes, hash: undefined, values: 1, depth: 0 };
}

function append(capture: Capture, bytes: Buffer): void {
  capture.size += bytes.length;
  if (capture.hash === undefined && capture.size > capture.maxBytes) {
    capture.hash = createHash('sha256');
    for (const part of capture.parts) capture.hash.update(part);
    capture.parts = [];
  }
  if (capture.hash === undefined) capture.parts.push(bytes);
  else capture.hash.update(bytes);
}

/** The value of a key or a plain field; `undefined` when it is too large. */
function parseField({ hash, parts }: Capture): unknown {
  if (hash !== undefined) return undefined;
  const bytes = Buffer.concat(parts);
  try {
    if (isUtf8(bytes)) return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    // Reported below.
  }
  throw new JsonSplitError('is not JSON');
}

function expect(byte: number, expected: number): void {
  if (byte !== expected) throw new JsonSplitError('is not a JSON object');
}

function isWhiteSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
