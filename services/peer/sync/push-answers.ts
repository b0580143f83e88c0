// Answers pushes. A sender reads the answer only when it has sent everything, so the bytes of a push that is refused are
// received too, and discarded.
import type { Stream } from '@libp2p/interface';
import { describeError, toError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { anySignal } from '../../shared/signals.ts';
import type { PushOutcome } from './push-outcomes.ts';
import { encodePushAnswer, MAX_PUSH_BYTES } from './push-protocol.ts';
import { countsOf, type PushRecord } from './push-work.ts';
import { readOrDiscard, writeAndClose } from './stream-io.ts';

/** Maximum time in which the bytes of a push arrive, in milliseconds: `rr` gives its last request 20 s. */
export const RECEIVE_MS = 20_000;

/** Maximum refused pushes whose bytes are discarded at the same time. Further ones are aborted. */
const MAX_DISCARDED = 256;

export interface PushAnswers {
  answer(stream: Stream, record: PushRecord, outcome: PushOutcome): Promise<PushOutcome>;
  /** Answers a push that has not been received. */
  refuse(stream: Stream, record: PushRecord, outcome: PushOutcome): Promise<PushOutcome>;
}

export interface PushAnswerOptions {
  readonly log: Logger;
  /** Idle timeout of a sender in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Ends what is being received. */
  readonly signal: AbortSignal;
}

export function createPushAnswers({ log, idleTimeoutMs, signal }: PushAnswerOptions): PushAnswers {
  let discarded = 0;

  async function answer(stream: Stream, record: PushRecord, outcome: PushOutcome): Promise<PushOutcome> {
    try {
      const bytes = await encodePushAnswer(stream.protocol, outcome === 'stored', countsOf(record));
      await writeAndClose(stream, bytes, { idleTimeoutMs });
    } catch (error) {
      // The sender has left. It repeats the push, of which nothing is stored twice.
      log.debug({ peer: record.peer, error: describeError(error) }, 'push not answered');
    }
    return outcome;
  }

  return {
    answer,
    async refuse(stream, record, outcome) {
      if (discarded >= MAX_DISCARDED) {
        stream.abort(new Error(`The push was refused: ${outcome}.`));
        return outcome;
      }
      discarded += 1;
      try {
        const limit = anySignal(signal, AbortSignal.timeout(RECEIVE_MS));
        await readOrDiscard(stream, MAX_PUSH_BYTES, { idleTimeoutMs, signal: limit, grow: () => false });
      } catch (error) {
        stream.abort(toError(error));
        return outcome;
      } finally {
        discarded -= 1;
      }
      return answer(stream, record, outcome);
    },
  };
}
