// Requests as `rr` 1.x makes them: each over a new TCP connection, with its time limits and its tries.
import { connect } from 'node:net';
import { AnswerReader, type BodyCheck } from './answer-reader.ts';

/** Time limits of the tries of a request, in milliseconds: to connect, and for the answer. */
const TRIES = [
  { connectMs: 300, answerMs: 1_000 },
  { connectMs: 600, answerMs: 2_000 },
  { connectMs: 1_200, answerMs: 4_000 },
] as const;

/** Size of the buffer that all connections read into, one after the other. Answers are short. */
const READ_BYTES = 64 * 1024;

const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** What a device noticed of a request. */
export interface RrRequest {
  /** From 1 to 3. */
  readonly tries: number;
  /** Time from the first packet to the answer, with the tries before it, in milliseconds. */
  readonly milliseconds: number;
  /** Why the last try was not answered; absent for a request that was. */
  readonly failure?: string;
}

/** Why a try was not answered. */
class TryError extends Error {
  override readonly name = 'TryError';
}

/** Sends a request and checks its answer. @throws Error when an answer is wrong */
export async function requestAsRr(port: number, bytes: Buffer, check: BodyCheck): Promise<RrRequest> {
  const startedMs = performance.now();
  let tries = 0;
  for (;;) {
    try {
      await tryOnce(port, bytes, check, tries);
      return { tries: tries + 1, milliseconds: performance.now() - startedMs };
    } catch (error) {
      tries += 1;
      if (!(error instanceof TryError)) throw error;
      if (tries === TRIES.length)
        return { tries, milliseconds: performance.now() - startedMs, failure: error.message };
    }
  }
}

/** The client closes the connection, as `rr` does after each answer. */
async function tryOnce(port: number, bytes: Buffer, check: BodyCheck, attempt: number): Promise<void> {
  const { connectMs, answerMs } = TRIES[attempt] ?? TRIES[0];
  const reader = new AnswerReader(check);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer: readBuffer,
      callback: (length: number, filled: Uint8Array) => {
        try {
          if (reader.read(filled as Buffer, length)) resolve();
        } catch (error) {
          reject(error);
        }
        return true;
      },
    },
  });
  const giveUp = (failure: string): void => reject(new TryError(failure));
  let timer = setTimeout(afterPoll, connectMs, () =>
    giveUp(`There was no connection within ${connectMs} ms.`),
  );
  socket.once('connect', () => {
    clearTimeout(timer);
    timer = setTimeout(afterPoll, answerMs, () => giveUp(`There was no answer within ${answerMs} ms.`));
    socket.write(bytes);
  });
  socket.on('error', (error) => giveUp(error.message));
  socket.on('close', () => giveUp('The connection was closed before the answer.'));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/**
 * Calls a function after the events that the kernel has ready. When this process is late, what arrived in time is read
 * first.
 */
function afterPoll(then: () => void): void {
  setImmediate(then);
}
