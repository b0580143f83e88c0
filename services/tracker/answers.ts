// The long answers that are being sent: their bytes are bounded over all connections, and clients that do not read keep
// only the bytes of one piece each in the socket.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** Bytes of an answer that are given to a socket at once. The next piece follows when it was sent. */
const PIECE_BYTES = 64 * 1024;

/**
 * Maximum bytes of all answers that are being sent. Connections that get the same buffer share its bytes. Above this
 * limit the connections that have been reading longest are closed: a device reads its listing within seconds.
 */
export const MAX_ANSWER_BYTES = 24 * 1024 * 1024;

/** Bytes of an answer up to which it is not counted: it is shared, or no larger than other answers. */
const SHORT_BYTES = 16 * 1024;

/** What is used of the connection and the response that an answer is sent with. Absent in tests without a socket. */
export interface AnswerConnection {
  readonly incoming?: { readonly socket: { destroy?(): unknown } };
  readonly outgoing?: { once(event: 'close', listener: () => void): unknown };
}

type AnswerBody = Buffer<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;

export interface Answers {
  /** The body of a response. The same buffer may be given to many connections, and must not change. */
  send(body: Buffer<ArrayBuffer>, connection: AnswerConnection | undefined): AnswerBody;
  /**
   * Sends a body with the response of Node, after its head, and ends the response. A socket without TLS gets the whole
   * buffer and does not copy it; TLS encrypts everything that it gets, so it gets pieces.
   */
  write(body: Buffer, request: IncomingMessage, response: ServerResponse): void;
  /** Bytes of all answers that are being sent. */
  bytes(): number;
}

interface SentAnswer {
  readonly body: Buffer;
  abort(): void;
}

/** @param onAborted called for each connection that was closed for its slow reading */
export function createAnswers(onAborted: () => void, maxBytes: number = MAX_ANSWER_BYTES): Answers {
  // Oldest first.
  const sent = new Set<SentAnswer>();
  const shares = new Map<Buffer, number>();
  let bytes = 0;

  function add(answer: SentAnswer): void {
    const others = shares.get(answer.body) ?? 0;
    if (others === 0) bytes += answer.body.byteLength;
    shares.set(answer.body, others + 1);
    sent.add(answer);
  }

  function remove(answer: SentAnswer): void {
    if (!sent.delete(answer)) return;
    const others = (shares.get(answer.body) ?? 1) - 1;
    if (others > 0) return void shares.set(answer.body, others);
    shares.delete(answer.body);
    bytes -= answer.body.byteLength;
  }

  function makeRoom(): void {
    for (const oldest of sent) {
      if (bytes <= maxBytes || sent.size === 1) return;
      remove(oldest);
      oldest.abort();
      onAborted();
    }
  }

  return {
    send(body, connection) {
      const { incoming, outgoing } = connection ?? {};
      if (incoming !== undefined && outgoing !== undefined) {
        const answer = { body, abort: () => void incoming.socket.destroy?.() };
        add(answer);
        outgoing.once('close', () => remove(answer));
        makeRoom();
      }
      return body.byteLength <= PIECE_BYTES ? body : inPieces(body);
    },
    write(body, request, response) {
      const { socket } = request;
      if (body.byteLength > SHORT_BYTES) {
        const answer = { body, abort: () => void socket.destroy() };
        add(answer);
        response.on('close', () => remove(answer));
        makeRoom();
      }
      if (body.byteLength <= PIECE_BYTES || !(socket as TLSSocket).encrypted) response.end(body);
      else writePieces(body, response);
    },
    bytes: () => bytes,
  };
}

/** Writes the next piece when the previous one was sent. */
function writePieces(body: Buffer, response: ServerResponse): void {
  let offset = 0;
  const writeNext = (): void => {
    for (;;) {
      const piece = body.subarray(offset, offset + PIECE_BYTES);
      offset += PIECE_BYTES;
      if (offset >= body.byteLength) return void response.end(piece);
      if (!response.write(piece)) return void response.once('drain', writeNext);
    }
  };
  writeNext();
}

/** Pieces of the buffer without a copy, each when the reader requests it. */
function inPieces(body: Buffer<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let offset = 0;
  return new ReadableStream(
    {
      pull(controller) {
        controller.enqueue(body.subarray(offset, offset + PIECE_BYTES));
        offset += PIECE_BYTES;
        if (offset >= body.byteLength) controller.close();
      },
    },
    // No piece is read before it is requested.
    { highWaterMark: 0 },
  );
}
