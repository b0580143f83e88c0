// multistream-select without I/O (https://github.com/multiformats/multistream-select): each message is a text and a line
// feed after their length.
import { withLength } from '../messages.ts';
import { MessageReader } from './message-reader.ts';

const HEADER = '/multistream/1.0.0';
const REFUSAL = 'na';
const LIST = 'ls';

/** Maximum length of a message, in bytes. */
const MAX_MESSAGE_BYTES = 1024;

/** Maximum messages until a protocol is chosen: a peer proposes the few that it knows. */
const MAX_MESSAGES = 64;

/** The other side sent something that is no message of the protocol, too many of them, or a refusal. */
export class MultistreamError extends Error {
  override readonly name = 'MultistreamError';
  readonly code = 'MULTISTREAM';

  constructor() {
    super('The negotiation of a protocol has failed.');
  }
}

/** Messages that were sent before, by their texts: those of our own protocols. */
const encoded = new Map<string, Uint8Array>();

function encode(...texts: string[]): Uint8Array {
  const key = texts.join(' ');
  const message =
    encoded.get(key) ?? Buffer.concat(texts.map((text) => withLength(Buffer.from(`${text}\n`))));
  encoded.set(key, message);
  return message;
}

/** Reads the texts of one side. */
class TextReader {
  #reader = new MessageReader(MAX_MESSAGE_BYTES);
  #count = 0;
  /** The last text that was read. */
  text: string | undefined;

  /** Takes bytes up to the end of a text. @throws Error when they are no message */
  take(buffer: Buffer, start: number, end: number): number {
    this.text = undefined;
    const rest = this.#reader.take(buffer, start, end);
    const { message } = this.#reader;
    if (message === undefined) return rest;
    this.#count += 1;
    if (message.at(-1) !== 0x0a || this.#count > MAX_MESSAGES) throw new MultistreamError();
    this.text = Buffer.from(message).toString('latin1', 0, message.length - 1);
    this.#reader = new MessageReader(MAX_MESSAGE_BYTES);
    return rest;
  }
}

/** The side of the peer that has not opened the stream. */
export class MultistreamResponder {
  /** The protocol that was chosen. */
  protocol: string | undefined;
  readonly #protocols: readonly string[];
  readonly #write: (bytes: Uint8Array) => void;
  readonly #texts = new TextReader();

  /** @param write sends bytes */
  constructor(protocols: readonly string[], write: (bytes: Uint8Array) => void) {
    this.#protocols = protocols;
    this.#write = write;
  }

  /**
   * Takes bytes of `buffer[start..end)` and returns where the rest begins, which belongs to the chosen protocol.
   *
   * @throws MultistreamError, MessageTooLongError
   */
  take(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.protocol === undefined) {
      at = this.#texts.take(buffer, at, end);
      if (this.#texts.text !== undefined) this.#answer(this.#texts.text);
    }
    return at;
  }

  #answer(text: string): void {
    if (text === HEADER) this.#write(encode(HEADER));
    else if (this.#protocols.includes(text)) {
      this.#write(encode(text));
      this.protocol = text;
    } else if (text === LIST) this.#write(withLength(encodeList(this.#protocols)));
    else this.#write(encode(REFUSAL));
  }
}

/** The side of the peer that has opened the stream. It proposes one protocol, and does not wait for the answer. */
export class MultistreamInitiator {
  /** The protocol, when the other side has accepted it. */
  protocol: string | undefined;
  readonly #proposal: string;
  readonly #texts = new TextReader();
  #hasHeader = false;

  /** @param write sends bytes */
  constructor(proposal: string, write: (bytes: Uint8Array) => void) {
    this.#proposal = proposal;
    write(encode(HEADER, proposal));
  }

  /** As `MultistreamResponder.take`. */
  take(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.protocol === undefined) {
      at = this.#texts.take(buffer, at, end);
      const { text } = this.#texts;
      if (text === undefined) continue;
      if (text !== (this.#hasHeader ? this.#proposal : HEADER)) throw new MultistreamError();
      if (this.#hasHeader) this.protocol = text;
      this.#hasHeader = true;
    }
    return at;
  }
}

/** All protocols, each as a message, and an empty line. */
function encodeList(protocols: readonly string[]): Buffer {
  return Buffer.concat([...protocols.map((protocol) => encode(protocol)), Buffer.from('\n')]);
}
