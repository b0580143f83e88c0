// The relay side of the stop protocol: requests the target of a circuit to accept it, on the connection that holds its
// reservation, and decides how long a target that is quiet is waited for.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#stop-protocol
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import { refused, type Result } from '../shared/result.ts';
import type { RelayLimits } from './config.ts';
import type { PeerIdentity, RelayConnection, RelayStream } from './connection.ts';
import { PROBE_MS, STOP_MS } from './liveness-limits.ts';
import type { Liveness } from './liveness.ts';
import {
  circuitLimit,
  decodeStopResponse,
  encodeStopRequest,
  MAX_MESSAGE_BYTES,
  Status,
  STOP_PROTOCOL,
} from './messages.ts';
import type { TargetRefusal } from './outcomes.ts';
import type { Probe } from './ping.ts';

/** Streams of the stop protocol on one connection for circuits that are being set up, in addition to open circuits. */
const EXTRA_STREAMS = 16;

/** Interval of the checks whether bytes still wait before a request, in milliseconds. */
const UNSENT_CHECK_MS = 1_000;

export interface StopOptions {
  readonly limits: RelayLimits;
  readonly log: Logger;
  readonly clock: Pick<LoopClock, 'after'>;
  readonly liveness: Liveness;
  readonly probe: Probe;
}

type StopResult = Result<{ readonly stream: RelayStream }, TargetRefusal>;

/** A request to a target that is waited for. */
export interface StopAttempt {
  /** Resolves when the target has accepted the circuit, or with the reason why it has not. Never rejects. */
  readonly result: Promise<StopResult>;
  /** Ends the wait. A probe goes on, because other requests may wait for it. */
  readonly cancel: () => void;
}

/** Opens a stream to the target for a circuit from `source`. */
export type OpenStop = (source: PeerIdentity, target: RelayConnection) => StopAttempt;

export function createStopClient({ limits, log, clock, liveness, probe }: StopOptions): OpenStop {
  const maxStreams = limits.circuitsPerTarget + EXTRA_STREAMS;
  const limit = circuitLimit(limits);

  /**
   * The request waits behind bytes for the target that are not sent yet. While it reads them, this time does not count.
   *
   * @returns cancels the deadline
   */
  function startDeadline(target: RelayConnection, onDeadline: () => void): () => void {
    const check = (): void => {
      if (liveness.hasUnsentBytes(target) && !liveness.isQuiet(target))
        cancel = clock.after(UNSENT_CHECK_MS, check);
      else onDeadline();
    };
    let cancel = clock.after(STOP_MS, check);
    return () => cancel();
  }

  async function ask(
    source: PeerIdentity,
    target: RelayConnection,
    attempt: Cancelation,
  ): Promise<StopResult> {
    const listener = liveness.listen(target);
    let stream: RelayStream | undefined;
    let isLate = false;
    const cancelDeadline = startDeadline(target, () => {
      isLate = true;
      stream?.reset(new Error('The target did not respond in time.'));
    });
    try {
      const opened = (stream = target.openStream(STOP_PROTOCOL, maxStreams));
      attempt.onCancel = () => opened.reset(new Error('The circuit is no longer requested.'));
      opened.writeMessage(encodeStopRequest({ source: source.multihash, limit }));
      const status = decodeStopResponse(await opened.readMessage(MAX_MESSAGE_BYTES));
      if (status !== Status.OK) throw new Error(`The target refused the circuit with status ${status}.`);
      return { ok: true, stream: opened };
    } catch (error) {
      stream?.reset(toError(error));
      log.debug({ target: target.peer.id, error: describeError(error) }, 'stop failed');
      return refused(isLate && listener.markUnanswered() ? 'target_no_answer' : 'target_unreachable');
    } finally {
      attempt.onCancel = () => {};
      cancelDeadline();
    }
  }

  async function wake(
    source: PeerIdentity,
    target: RelayConnection,
    attempt: Cancelation,
  ): Promise<StopResult> {
    const canceled = new Promise<false>((resolve) => (attempt.onCancel = () => resolve(false)));
    const isAwake = await Promise.race([probe(target, PROBE_MS), canceled]);
    if (!isAwake) return refused(liveness.isUnanswered(target) ? 'target_quiet' : 'target_unreachable');
    if (attempt.isCanceled) return refused('target_unreachable');
    return ask(source, target, attempt);
  }

  // Without a promise of its own: almost every target is awake, and is asked at once.
  function run(source: PeerIdentity, target: RelayConnection, attempt: Cancelation): Promise<StopResult> {
    if (liveness.isUnanswered(target)) return Promise.resolve(refused('target_still_quiet'));
    return liveness.isQuiet(target) ? wake(source, target, attempt) : ask(source, target, attempt);
  }

  return (source, target) => {
    const attempt: Cancelation = { isCanceled: false, onCancel: () => {} };
    return {
      result: run(source, target, attempt),
      cancel() {
        attempt.isCanceled = true;
        attempt.onCancel();
      },
    };
  };
}

/** Whether an attempt is canceled, and what cancels it at present. */
interface Cancelation {
  isCanceled: boolean;
  onCancel: () => void;
}
