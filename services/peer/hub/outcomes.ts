// The outcomes of the pulls that the hub makes, and which outcome a report has.
import type { PullReport } from '../sync/pull.ts';

/** Every outcome with its meaning; values of a metric label. */
export const OWN_PULL_OUTCOMES = {
  complete: { doc: 'The hub has everything that the device had.' },
  unfinished: { doc: 'The time or the size of one round ended the pull; the next round continues it.' },
  refused: {
    doc: 'The device does not answer the hub: another user, another list of trackers, or rr in strict mode.',
  },
  failed: {
    doc: 'The device could not be reached, or the pull failed; the log of the hub names the reason at debug.',
  },
  skipped: {
    doc: 'The device lists no address to which the hub can connect, such as a device that only syncs.',
  },
  postponed: {
    doc: 'The round ended before the turn of the device; it is among the first of the next round.',
  },
} as const;

export type OwnPullOutcome = keyof typeof OWN_PULL_OUTCOMES;

/** The outcome of a pull that was made. */
export function outcomeOf({
  isRefused,
  error,
  isUnfinished,
}: Pick<PullReport, 'isRefused' | 'error' | 'isUnfinished'>): OwnPullOutcome {
  if (isRefused) return 'refused';
  if (error !== undefined) return 'failed';
  return isUnfinished ? 'unfinished' : 'complete';
}
