// The relay side of the stop protocol: requests the target of a circuit to accept it, on the connection that holds its
// reservation, and decides how long a target that is quiet is waited for.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#stop-protocol
import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { CODE_P2P_CIRCUIT } from '@multiformats/multiaddr';
import { describeError, toError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import { refused, type Result } from '../shared/result.ts';
import { aborted, anySignal } from '../shared/signals.ts';
import type { RelayLimits } from './config.ts';
import { PROBE_MS, STOP_MS } from './liveness-limits.ts';
import type { Liveness } from './liveness.ts';
import {
  circuitLimit,
  decodeStopResponse,
  encodeStopRequest,
  FRAMING,
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

/** Opens a stream to the target for a circuit from `source`, and resolves when the target has accepted it. */
export type OpenStop = (
  source: PeerId,
  target: Connection,
  signal: AbortSignal,
) => Promise<Result<{ readonly stream: Stream }, TargetRefusal>>;

export function createStopClient({ limits, log, clock, liveness, probe }: StopOptions): OpenStop {
  const maxOutboundStreams = limits.circuitsPerTarget + EXTRA_STREAMS;

  async function request(connection: Connection, source: PeerId, signal: AbortSignal): Promise<Stream> {
    const stream = await connection.newStream(STOP_PROTOCOL, { signal, maxOutboundStreams });
    try {
      const messages = pbStream(stream, FRAMING);
      const message = { source: source.toMultihash().bytes, limit: circuitLimit(limits) };
      await messages.write(message, { encode: encodeStopRequest }, { signal });
      const status = await messages.read({ decode: decodeStopResponse }, { signal });
      if (status !== Status.OK) throw new Error(`The target refused the circuit with status ${status}.`);
      return messages.unwrap();
    } catch (error) {
      stream.abort(toError(error));
      throw error;
    }
  }

  /** The request waits behind bytes for the target that are not sent yet. While it reads them, this time does not count. */
  function startDeadline(target: Connection): { readonly signal: AbortSignal; cancel(): void } {
    const controller = new AbortController();
    const check = (): void => {
      if (liveness.hasUnsentBytes(target) && !liveness.isQuiet(target))
        cancel = clock.after(UNSENT_CHECK_MS, check);
      else controller.abort(new Error('The target did not respond in time.'));
    };
    let cancel = clock.after(STOP_MS, check);
    return { signal: controller.signal, cancel: () => cancel() };
  }

  /** Ends early when the signal aborts; the probe itself goes on, because other requests may wait for it. */
  async function isAwake(target: Connection, signal: AbortSignal): Promise<boolean> {
    return Promise.race([probe(target, PROBE_MS), aborted(signal).then(() => false)]);
  }

  return async (source, target, signal) => {
    if (liveness.isUnanswered(target)) return refused('target_still_quiet');
    if (liveness.isQuiet(target) && !(await isAwake(target, signal)))
      return refused(liveness.isUnanswered(target) ? 'target_quiet' : 'target_unreachable');
    const listener = liveness.listen(target);
    const deadline = startDeadline(target);
    try {
      return { ok: true, stream: await request(target, source, anySignal(signal, deadline.signal)) };
    } catch (error) {
      log.debug({ target: target.remotePeer.toString(), error: describeError(error) }, 'stop failed');
      const isUnanswered = deadline.signal.aborted && listener.markUnanswered();
      return refused(isUnanswered ? 'target_no_answer' : 'target_unreachable');
    } finally {
      deadline.cancel();
    }
  };
}

/** Whether a connection is a circuit. Circuits over circuits are refused, because every byte would be relayed twice. */
export function isRelayed(connection: Connection): boolean {
  return connection.remoteAddr.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT);
}
