// Prints the results of sync rounds: a table and the reasons of failures, or JSON.
import { PROGRAM } from '../config/config.ts';
import { formatAttempts } from '../network/dial-report.ts';
import type { InvalidCounts } from '../sync/invalid-items.ts';
import type { PullProgress, PullReport } from '../sync/pull.ts';
import { formatPushes, isPushFailed, pushToJson, totalPushes } from './push-report.ts';
import { sum } from '../sync/turn.ts';
import type { Round } from '../sync/sync-round.ts';
import {
  formatAmount,
  formatBytes,
  formatCount,
  formatDuration,
  formatTable,
  type Screen,
  shortenPeerIds,
  wrap,
} from './screen.ts';

/** The progress of a sync, such as `12,000 entries, 3.1 MB`. */
export function formatProgress({
  entries,
  bytes,
  pushed = 0,
}: PullProgress & { readonly pushed?: number }): string {
  const pushes = pushed === 0 ? '' : `, ${formatCount(pushed)} pushed`;
  return `${formatAmount(entries, 'entry', 'entries')}, ${formatBytes(bytes)}${pushes}`;
}

/** A report as JSON. Its error includes the result of each address. */
function toJson(report: PullReport) {
  const { peerId, address, entries, duplicates, deleted, bytes, durationMs, nextCursor, error, attempts } =
    report;
  const { isUnfinished, hasNewDatabase, invalid, push } = report;
  return {
    peer_id: peerId,
    address: address ?? null,
    entries,
    duplicates,
    deleted,
    bytes,
    duration_ms: durationMs,
    next_cursor: nextCursor,
    ...(invalid.text === undefined
      ? {}
      : {
          invalid_entries: invalid.entries,
          invalid_deletions: invalid.deletions,
          invalid_reason: invalid.text,
        }),
    ...(isUnfinished ? { unfinished: true } : {}),
    ...(hasNewDatabase ? { new_database: true } : {}),
    ...(push === undefined ? {} : { push: pushToJson(push) }),
    ...(error === undefined ? {} : { error: [error, ...formatAttempts(attempts)].join('; ') }),
  };
}

/** Maximum failed devices whose attempts are printed. Further ones are counted; JSON has all. */
const MAX_SHOWN_FAILURES = 32;

/** The reason why a device is skipped. */
const SKIPPED = 'skipped, because it lists no address to which this device can connect';

/** The reason why a device has no turn. */
const POSTPONED =
  'not synced, because the time or the size of one sync was used up; the next sync starts with it';

/** Prints the only round of a sync. */
export async function showRound(
  { reports, skipped, postponed, problems, warnings }: Round,
  screen: Screen,
  isJson: boolean,
): Promise<void> {
  for (const problem of [...problems, ...warnings]) screen.note(`warning: ${problem}`);
  showFailures(reports, screen, false);
  if (isJson) {
    for (const report of reports) await screen.json(toJson(report));
    const others = [
      ...skipped.map((peerId) => [peerId, { skipped: SKIPPED }] as const),
      ...postponed.map((peerId) => [peerId, { postponed: POSTPONED }] as const),
    ];
    for (const [peerId, reason] of others)
      await screen.json({ peer_id: peerId, address: null, entries: 0, bytes: 0, ...reason });
    return;
  }
  for (const peerId of skipped) screen.note(`${shortenPeerIds(peerId)}: ${SKIPPED}`);
  showLeft(reports, postponed, screen);
  if (reports.length + skipped.length + postponed.length === 0) return;
  const deleted = reports.reduce((total, report) => total + report.deleted, 0);
  if (deleted > 0) screen.note(`${formatAmount(deleted, 'entry', 'entries')} deleted, as on another device`);
  const totals = totalPushes(reports);
  /** The cells of a column that is only shown when something is pushed. */
  const pushed = (cell: string): string[] => (totals === undefined ? [] : [cell]);
  const rows = reports.map((report) => {
    const { peerId, entries, duplicates, bytes, durationMs, push } = report;
    return [
      shortenPeerIds(peerId),
      formatCount(entries),
      formatCount(duplicates),
      ...pushed(push === undefined ? '-' : formatCount(push.entries + push.deletions)),
      formatBytes(bytes + (push?.bytes ?? 0)),
      formatDuration(durationMs + (push?.durationMs ?? 0)),
      resultOf(report),
    ];
  });
  const others = [
    ...skipped.map((peerId) => [peerId, 'skipped'] as const),
    ...postponed.map((peerId) => [peerId, 'postponed'] as const),
  ];
  for (const [peerId, result] of others)
    rows.push([shortenPeerIds(peerId), '0', '0', ...pushed('-'), '-', '-', result]);
  const head = ['PEER', 'ENTRIES', 'DUPLICATES', ...pushed('PUSHED'), 'BYTES', 'TIME', 'RESULT'];
  for (const line of formatTable(head, rows)) await screen.out(line);
  if (totals !== undefined) await screen.out(formatPushes(totals));
}

function resultOf({ error, isUnfinished, push }: PullReport): string {
  if (error !== undefined) return 'failed';
  if (isPushFailed(push)) return `push ${push?.state}`;
  return isUnfinished || push?.state === 'unfinished' ? 'unfinished' : 'ok';
}

/** What was skipped, and why, such as `2 entries are not valid and were skipped: The field …`. */
function describeInvalid({ entries, deletions, text }: InvalidCounts): string {
  const amounts = [
    ...(entries > 0 ? [formatAmount(entries, 'entry', 'entries')] : []),
    ...(deletions > 0 ? [formatAmount(deletions, 'deletion', 'deletions')] : []),
  ].join(' and ');
  const [are, were] = entries + deletions === 1 ? ['is', 'was'] : ['are', 'were'];
  return `${amounts} of this device ${are} not valid and ${were} skipped: ${text}`;
}

/** Prints what a sync has not completed, and how it continues. */
function showLeft(reports: readonly PullReport[], postponed: readonly string[], screen: Screen): void {
  const unfinished = reports.filter(({ isUnfinished }) => isUnfinished);
  for (const { peerId, entries } of unfinished)
    screen.note(
      `${shortenPeerIds(peerId)}: its history has more than the ${formatAmount(entries, 'entry', 'entries')} of this sync`,
    );
  const pushes = reports.filter(({ isUnfinished, push }) => !isUnfinished && push?.state === 'unfinished');
  for (const { peerId } of pushes)
    screen.note(`${shortenPeerIds(peerId)}: there is more to push than this sync had time for`);
  const left = unfinished.length + pushes.length + postponed.length;
  if (left === 0) return;
  screen.note(
    `${formatAmount(left, 'device is', 'devices are')} not synced completely. Run "${PROGRAM.name} sync" again; it continues with ${left === 1 ? 'this device' : 'these devices'}.`,
  );
}

/**
 * Prints one line for each failed attempt: the address, the stage and the reason.
 *
 * @param isRepeated whether there are more rounds, in which what the configuration forbids is the same
 */
function showFailures(reports: readonly PullReport[], screen: Screen, isRepeated: boolean): void {
  let shown = 0;
  for (const { peerId, attempts, error, hasNewDatabase, invalid, push } of reports) {
    if (invalid.text !== undefined) screen.note(shortenPeerIds(`${peerId}: ${describeInvalid(invalid)}`));
    if (hasNewDatabase)
      screen.note(
        shortenPeerIds(
          `${peerId}: The device has another database than at the last sync (a new one or an older copy); all its entries are requested.`,
        ),
      );
    if (push?.problem !== undefined && !(isRepeated && push.state === 'not allowed'))
      screen.note(shortenPeerIds(`${peerId}: ${push.problem}`));
    // Failed attempts before a successful sync are not shown.
    if (error === undefined) continue;
    shown += 1;
    if (shown > MAX_SHOWN_FAILURES) continue;
    screen.note(shortenPeerIds(`${peerId}: ${error}.`));
    for (const attempt of formatAttempts(attempts))
      for (const line of wrap(shortenPeerIds(attempt), screen.columns, '  ', '    ')) screen.note(line);
  }
  const omitted = shown - MAX_SHOWN_FAILURES;
  if (omitted > 0) screen.note(`${formatAmount(omitted, 'more device', 'more devices')} failed.`);
}

/** Prints one round of a watch as one line. */
export async function showWatchRound(
  round: Round,
  durationMs: number,
  screen: Screen,
  isJson: boolean,
): Promise<void> {
  const { reports, skipped, postponed, waiting, problems, warnings } = round;
  const failed = reports.filter(({ error }) => error !== undefined);
  const unfinished = reports.filter(({ isUnfinished }) => isUnfinished).length;
  const total = sum(reports);
  const pushes = totalPushes(reports);
  if (isJson) {
    const counts = { peers: reports.length, failed: failed.length, ...total, duration_ms: durationMs };
    const at = new Date().toISOString();
    await screen.json({
      at,
      ...counts,
      ...(pushes === undefined
        ? {}
        : {
            pushed_entries: pushes.entries,
            pushed_deletions: pushes.deletions,
            pushes_failed: pushes.failed,
          }),
      skipped,
      postponed,
      waiting,
      problems,
      warnings,
      reports: reports.map(toJson),
    });
    return;
  }
  const time = new Date().toISOString().slice(11, 19);
  const others = [
    ...(pushes === undefined ? [] : [formatPushes(pushes)]),
    ...(unfinished === 0 ? [] : [`${unfinished} continue in the next round`]),
    ...(skipped.length === 0 ? [] : [`${skipped.length} skipped`]),
    ...(postponed.length === 0 ? [] : [`${postponed.length} postponed to the next round`]),
    ...(waiting.length === 0 ? [] : [`${waiting.length} paused after failures`]),
  ].map((text) => `, ${text}`);
  await screen.out(
    `${time} ${formatAmount(reports.length, 'peer', 'peers')}, ${formatProgress(total)}, ${failed.length} failed${others.join('')}`,
  );
  for (const problem of [...problems, ...warnings]) screen.note(`  warning: ${problem}`);
  showFailures(reports, screen, true);
}
