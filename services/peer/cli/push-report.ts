// Describes what a sync has pushed, for the reports of rounds.
import type { PullReport } from '../sync/pull.ts';
import type { PushReport, PushResult } from '../sync/push.ts';
import { formatAmount } from './screen.ts';

/** The ends of a push that are failures of the sync. That a device accepts no pushes at all is not one. */
const FAILURES: ReadonlySet<PushResult> = new Set(['refused', 'failed']);

export interface PushTotals {
  readonly entries: number;
  readonly deletions: number;
  /** Devices that got something. */
  readonly devices: number;
  readonly failed: number;
  readonly unfinished: number;
  readonly paused: number;
}

/** The sums of all pushes of a round; `undefined` when the round does not push. */
export function totalPushes(reports: readonly PullReport[]): PushTotals | undefined {
  const pushes = reports.flatMap(({ push }) => push ?? []);
  if (pushes.length === 0) return undefined;
  const count = (condition: (push: PushReport) => boolean): number => pushes.filter(condition).length;
  return {
    entries: pushes.reduce((total, { entries }) => total + entries, 0),
    deletions: pushes.reduce((total, { deletions }) => total + deletions, 0),
    devices: count(({ entries, deletions }) => entries + deletions > 0),
    failed: count(isPushFailed),
    unfinished: count(({ state }) => state === 'unfinished'),
    paused: count(({ state }) => state === 'paused'),
  };
}

export function isPushFailed(push: PushReport | undefined): boolean {
  return push !== undefined && FAILURES.has(push.state);
}

/** The totals as a text, such as `pushed 120 entries, 2 deletions to 3 devices`. */
export function formatPushes({
  entries,
  deletions,
  devices,
  failed,
  unfinished,
  paused,
}: PushTotals): string {
  const amounts = [
    ...(entries > 0 || deletions === 0 ? [formatAmount(entries, 'entry', 'entries')] : []),
    ...(deletions > 0 ? [formatAmount(deletions, 'deletion', 'deletions')] : []),
  ];
  const texts = [
    devices === 0
      ? 'nothing pushed'
      : `pushed ${amounts.join(', ')} to ${formatAmount(devices, 'device', 'devices')}`,
    ...(unfinished === 0 ? [] : [`${formatAmount(unfinished, 'push continues', 'pushes continue')} later`]),
    ...(failed === 0 ? [] : [`${formatAmount(failed, 'push', 'pushes')} failed`]),
    ...(paused === 0 ? [] : [`${formatAmount(paused, 'push', 'pushes')} paused after failures`]),
  ];
  return texts.join(', ');
}

/** The push of a report as JSON. */
export function pushToJson({ state, entries, deletions, inserted, bytes, durationMs, problem }: PushReport) {
  return {
    state: state.replace(' ', '_'),
    entries,
    deletions,
    inserted,
    bytes,
    duration_ms: durationMs,
    ...(problem === undefined ? {} : { problem }),
  };
}
