// The position of a pull in the history of a peer. A cursor belongs to a database: a peer whose database is new, was
// restored from an older copy, or belongs to another device with the same identity has other entries at the same numbers.
// So a pull begins with the entry at which the last one ended, and starts again from 0 when the peer no longer has it.
import type { PullPosition } from '../history/peer-cursors.ts';
import type { Store } from '../history/store.ts';
import { PullRestartedError } from './retry.ts';
import type { PullRequest, PullResponse } from './sync-protocol.ts';

/** Minimum time between two starts from 0 in seconds. A start costs the peer its whole history. */
const RESTART_SECONDS = 3_600;

/**
 * What the next answer tells:
 * - `entry`: its first entry must be the known one.
 * - `position`: its only entry must be one that is stored here, at the cursor. The entry is not known, because `rr` or an
 *   earlier version of this peer moved the cursor.
 * - `deletions`: nothing about the entries; there are deletions before them.
 * - `nothing`: the position is right.
 */
type Check = 'entry' | 'position' | 'deletions' | 'nothing';

export type StoredAnswer = Pick<PullResponse, 'entries' | 'invalid'> & {
  readonly duplicates: number;
  readonly deleted: number;
  /** Whether a cursor moved past something new. */
  readonly isProgress: boolean;
  /** Whether the peer may have more. */
  readonly hasMore: boolean;
  /** Whether the pull starts again from 0, because the peer has another database. */
  readonly isRestarted: boolean;
};

export interface PullProgressPosition {
  /** The position up to which everything is stored. */
  readonly current: PullPosition;
  /** The next request. */
  request(limit: number): PullRequest;
  /** Stores the answer to it. @throws PullRestartedError, DatabaseError */
  store(response: PullResponse): StoredAnswer;
  /** Starts again from 0. Returns whether it did. @throws PullRestartedError, DatabaseError */
  restart(): boolean;
}

type PositionStore = Pick<
  Store,
  'positionOf' | 'insertPage' | 'resetCursors' | 'pullState' | 'setPullState' | 'hasEntry' | 'isDeleted'
>;

/** @param nowUnixSeconds the clock of the machine, which may jump */
export function createPullPosition(
  store: PositionStore,
  peerId: string,
  nowUnixSeconds: () => number,
): PullProgressPosition {
  let current = store.positionOf(peerId);
  let check = firstCheck(current);
  let requestedLimit = 0;

  /** Stores a part of an answer, and moves the cursors past it. */
  function keep(part: PullResponse, entryId = part.ids.at(-1)): StoredAnswer {
    const { nextCursor, nextDeleteCursor, entries, invalid } = part;
    const hasMore = nextCursor !== undefined || nextDeleteCursor !== undefined;
    if (!hasMore && entryId === undefined) return answered(false);
    const cursors = { cursor: nextCursor, deleteCursor: nextDeleteCursor };
    const { duplicates, deleted, isMoved } = store.insertPage(part, {
      peerId,
      ...cursors,
      entryId,
      read: current,
    });
    if (isMoved)
      current = {
        cursor: nextCursor ?? current.cursor,
        deleteCursor: nextDeleteCursor ?? current.deleteCursor,
        entryId: entryId ?? current.entryId,
      };
    else reload();
    return { ...answered(hasMore), entries, invalid, duplicates, deleted, isProgress: hasMore };
  }

  /** Another process has moved the position. It may have been connected to another device with the same identity. */
  function reload(): void {
    current = store.positionOf(peerId);
    check = firstCheck(current);
  }

  /** Starts again from 0, unless another process has moved the position. Returns whether it did. */
  function restart(): boolean {
    if (isElsewhere(store.positionOf(peerId), current)) {
      reload();
      return false;
    }
    const state = store.pullState(peerId);
    const nowSeconds = nowUnixSeconds();
    const last = Math.min(state.restartedUnixSeconds ?? -Infinity, nowSeconds);
    if (nowSeconds - last < RESTART_SECONDS) {
      // A time in the future counts as now, once: the clock was set back.
      if (last !== state.restartedUnixSeconds)
        store.setPullState(peerId, { ...state, restartedUnixSeconds: last });
      throw new PullRestartedError(last + RESTART_SECONDS - nowSeconds);
    }
    const isRestarted = store.resetCursors(peerId, current);
    if (isRestarted) store.setPullState(peerId, { ...state, restartedUnixSeconds: nowSeconds });
    reload();
    return isRestarted;
  }

  const mismatch = (): StoredAnswer => ({ ...answered(true), isRestarted: restart() });

  /** The known entry is not the first one: it was deleted there, or the peer has another database. */
  function isGone(entryId: string, { deletions }: PullResponse): boolean {
    return store.isDeleted(entryId) || deletions.some(({ entry_id: id }) => id === entryId);
  }

  function storeFromEntry(response: PullResponse, entryId: string): StoredAnswer {
    // Also when none of the deletions is valid.
    if (response.ids.length === 0 && response.nextDeleteCursor !== undefined) return keep(response);
    const isThere = response.ids[0] === entryId;
    if (!isThere && !isGone(entryId, response)) return mismatch();
    check = 'nothing';
    if (!isThere) return keep(response);
    return { ...keep(withoutFirst(response)), hasMore: true };
  }

  function storeFromPosition(response: PullResponse): StoredAnswer {
    const [entryId] = response.ids;
    const deletions = onlyDeletions(response);
    if (entryId === undefined && deletions.nextDeleteCursor !== undefined) {
      check = 'deletions';
      return keep(deletions);
    }
    const isAtCursor = response.ids.length === 1 && response.nextCursor === current.cursor;
    if (entryId === undefined || !isAtCursor || !(store.hasEntry(entryId) || store.isDeleted(entryId)))
      return mismatch();
    check = 'nothing';
    return { ...keep(deletions, entryId), hasMore: true };
  }

  return {
    get current() {
      return current;
    },
    request(limit) {
      const { cursor, deleteCursor } = current;
      requestedLimit = check === 'position' ? 1 : limit;
      return {
        cursor: check === 'nothing' ? cursor : Math.max(0, cursor - 1),
        deleteCursor,
        limit: requestedLimit,
      };
    },
    store(response) {
      if (check === 'nothing') return keep(response);
      if (check === 'entry' && current.entryId !== undefined)
        return storeFromEntry(response, current.entryId);
      if (check === 'position') return storeFromPosition(response);
      // What comes before the cursor is known, and its numbers are not, so only the deletions are used.
      const deletions = onlyDeletions(response);
      // Before it is stored, because a position that was moved needs its own check.
      if (deletions.deletions.length + deletions.invalid.length < requestedLimit) check = 'position';
      return { ...keep(deletions), hasMore: true };
    },
    restart,
  };
}

/** An answer of which nothing was stored. */
function answered(hasMore: boolean): StoredAnswer {
  return {
    entries: [],
    invalid: [],
    duplicates: 0,
    deleted: 0,
    isProgress: false,
    hasMore,
    isRestarted: false,
  };
}

function firstCheck({ cursor, entryId }: PullPosition): Check {
  if (cursor === 0) return 'nothing';
  return entryId === undefined ? 'position' : 'entry';
}

function isElsewhere(position: PullPosition, from: PullPosition): boolean {
  return (
    position.cursor !== from.cursor ||
    position.deleteCursor !== from.deleteCursor ||
    position.entryId !== from.entryId
  );
}

function onlyDeletions(response: PullResponse): PullResponse {
  const invalid = response.invalid.filter(({ kind }) => kind === 'deletion');
  return { ...response, entries: [], ids: [], nextCursor: undefined, invalid };
}

function isFirst({ kind, index }: PullResponse['invalid'][number]): boolean {
  return kind === 'entry' && index === 0;
}

/** A response without its first entry, which is known. It may be one that is not valid. */
function withoutFirst(response: PullResponse): PullResponse {
  const isInvalid = response.invalid.some(isFirst);
  const ids = response.ids.slice(1);
  return {
    ...response,
    ids,
    entries: isInvalid ? response.entries : response.entries.slice(1),
    invalid: response.invalid.filter((item) => !isFirst(item)),
    nextCursor: ids.length === 0 ? undefined : response.nextCursor,
  };
}
