// Reports each push that has ended: to the log, and to the metrics of a hub.
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { isLabel } from '../history/entry-rules.ts';
import type { PushEvent, PushOutcome } from './push-outcomes.ts';
import type { PushRecord } from './push-work.ts';

/** Maximum lines per minute and outcome about pushes that were not stored, of which a device can cause any number. */
const PROBLEM_LINES_PER_MINUTE = 20;

const FOREIGN_ADVICE =
  'A device may push only its own history. If it is a device of yours, compare the user_id and the device_id under which the trackers list it with those that it pushes, and with the user_id of this device.';

/** Outcomes that `admission` logs itself. */
const LOGGED_ELSEWHERE: ReadonlySet<PushOutcome> = new Set(['not_member', 'not_allowed', 'revoked']);

export interface PushReportDeps {
  /** The user of this device. */
  readonly userId: string;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly onPush?: ((event: PushEvent) => void) | undefined;
}

export function createPushReport({
  userId,
  log,
  nowMs,
  onPush,
}: PushReportDeps): (record: PushRecord, outcome: PushOutcome, durationMs: number) => void {
  const logProblem = createLimitedLog<PushOutcome | 'invalid_items'>({
    log,
    nowMs,
    level: 'warn',
    perMinute: PROBLEM_LINES_PER_MINUTE,
  });

  return (record, outcome, durationMs) => {
    const { peer, bytes, request, stored, problem } = record;
    const invalid = (request?.invalid.entries ?? 0) + (request?.invalid.deletions ?? 0);
    const event: PushEvent = {
      outcome,
      peer,
      userId: record.member?.userId ?? userId,
      deviceId: record.member?.deviceId ?? onlyDevice(record),
      entries: request?.entries ?? 0,
      deletions: request?.deletions ?? 0,
      inserted: stored.inserted,
      invalid,
      bytes,
      durationMs: Math.round(durationMs),
    };
    onPush?.(event);
    if (invalid > 0)
      logProblem(
        'invalid_items',
        { peer, invalid, problem: request?.invalid.text },
        'push has items that are not valid',
        peer,
      );
    const { userId: _, ...fields } = event;
    if (outcome === 'stored') {
      const isNews = stored.inserted + stored.deletionInserted > 0;
      log[isNews ? 'info' : 'debug']({ ...fields, deleted: stored.deletionDeleted }, 'push stored');
    } else if (!LOGGED_ELSEWHERE.has(outcome)) {
      const advice = outcome === 'foreign_items' ? { advice: FOREIGN_ADVICE } : {};
      logProblem(outcome, { ...fields, problem, ...advice }, 'push not stored', peer);
    }
  };
}

/** Of an item that is not valid the id may be any text, of megabytes. */
function onlyDevice({ owners }: PushRecord): string | undefined {
  const [device, other] = owners?.devices ?? [];
  return other === undefined && device !== '' && isLabel(device) ? device : undefined;
}
