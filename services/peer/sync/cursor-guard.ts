// Decides which cursors may be sent to a peer. A cursor above what the peer ever stored (its database is new) ends the
// `p2p-serve` of `rr` 1.x, and a device that is not a member gets no answer either. Both look the same: the stream is
// closed without a byte. A probe with the cursors 0 tells them apart. What is known is kept in the database, because a
// `sync` may run once per process.
import type { Cursors, PullState } from '../history/peer-cursors.ts';
import type { Store } from '../history/store.ts';

/** Maximum times that cursors without an answer are sent within one hour. */
const MAX_UNANSWERED = 2;
const HOUR_SECONDS = 3_600;

/** The cursors are not sent now, because they got no answer too often. */
export class CursorsHeldBackError extends Error {
  override readonly name = 'CursorsHeldBackError';
  readonly code = 'CURSORS_HELD_BACK';

  constructor(waitSeconds: number) {
    const minutes = Math.ceil(waitSeconds / 60);
    super(
      `The peer answers, but gave no answer to the position of the last sync ${MAX_UNANSWERED} times within an hour. The position is sent again in ${minutes === 1 ? '1 minute' : `${minutes} minutes`}, because one that the peer's database does not have ends its p2p-serve.`,
    );
  }
}

export interface CursorGuard {
  /** Whether the next request must be a probe. */
  needsProbe(): boolean;
  /** The probe was answered. */
  onProbeAnswered(): void;
  /** To be called before cursors are sent. @throws CursorsHeldBackError */
  beforeSend(cursors: Cursors): void;
  /** The cursors were answered. */
  onAnswered(): void;
  /**
   * The cursors got no answer.
   *
   * @param isFirst whether the peer has answered no request of this pull, so that the cursors are those of the database
   * @returns whether the database of the peer is new, so that its history must be requested from the start
   */
  onUnanswered(cursors: Cursors, isClosed: boolean, isFirst: boolean): boolean;
  /** The history of the peer is requested from the start. */
  onRestarted(): void;
}

type GuardStore = Pick<Store, 'pullState' | 'setPullState'>;

const CLEAN = { startsWithProbe: false, unansweredUnixSeconds: [] } as const satisfies PullState;

/** @param nowUnixSeconds the clock of the machine, which may jump */
export function createCursorGuard(
  store: GuardStore,
  peerId: string,
  nowUnixSeconds: () => number,
): CursorGuard {
  /** Whether a probe of this pull was answered, and no request with cursors since. */
  let isProbed = false;
  /** Whether the time of the request in flight is already stored. */
  let isStored = false;

  /** The times of the last hour. A time in the future counts as now, once: the clock was set back. */
  function recentTimes({ unansweredUnixSeconds }: PullState): number[] {
    const current = nowUnixSeconds();
    return unansweredUnixSeconds
      .map((time) => Math.min(time, current))
      .filter((time) => current - time < HOUR_SECONDS);
  }

  function storeTime(): void {
    const state = store.pullState(peerId);
    const times = recentTimes(state);
    store.setPullState(peerId, {
      ...state,
      startsWithProbe: true,
      unansweredUnixSeconds: [...times, nowUnixSeconds()],
    });
  }

  /** Other parts of the state are kept. */
  const clean = (): void => store.setPullState(peerId, { ...store.pullState(peerId), ...CLEAN });

  return {
    needsProbe: () => !isProbed && store.pullState(peerId).startsWithProbe,
    onProbeAnswered: () => void (isProbed = true),
    beforeSend(cursors) {
      isStored = false;
      const state = store.pullState(peerId);
      // A position that every database has is always answered by a member.
      if (isStart(cursors) || state.unansweredUnixSeconds.length === 0) return;
      const times = recentTimes(state);
      const oldest = times.at(-MAX_UNANSWERED);
      if (oldest !== undefined) {
        store.setPullState(peerId, { ...state, unansweredUnixSeconds: times });
        throw new CursorsHeldBackError(oldest + HOUR_SECONDS - nowUnixSeconds());
      }
      // Before it is sent, because this process may be killed, and another one may sync at the same time.
      storeTime();
      isStored = true;
    },
    onAnswered() {
      isProbed = false;
      const { startsWithProbe, unansweredUnixSeconds: times } = store.pullState(peerId);
      if (startsWithProbe || times.length > 0) clean();
    },
    onUnanswered(cursors, isClosed, isFirst) {
      const hasNewDatabase = isClosed && isProbed && isFirst && !isStart(cursors);
      isProbed = false;
      if (!isStart(cursors)) {
        if (!isStored) storeTime();
      } else if (isClosed) store.setPullState(peerId, { ...store.pullState(peerId), startsWithProbe: true });
      return hasNewDatabase;
    },
    onRestarted: clean,
  };
}

function isStart({ cursor, deleteCursor }: Cursors): boolean {
  return cursor === 0 && deleteCursor === 0;
}
