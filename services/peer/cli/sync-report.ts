// What a round of syncing looks like: a table and the reasons of failures for people, JSON for scripts.
import { formatAttempts } from '../network/dial-report.ts';
import type { PullProgress, PullReport } from '../sync/pull.ts';
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
import { type Round, sum } from '../sync/sync-round.ts';

/** How far a pull has come: 12,000 entries, 3.1 MB. */
export function formatProgress({ entries, bytes }: PullProgress): string {
  return `${formatAmount(entries, 'entry', 'entries')}, ${formatBytes(bytes)}`;
}

/** A report as scripts read it; its error also tells what became of each address. */
function toJson(report: PullReport) {
  const { peerId, address, entries, duplicates, bytes, durationMs, nextCursor, error, attempts } = report;
  return {
    peer_id: peerId,
    address: address ?? null,
    entries,
    duplicates,
    bytes,
    duration_ms: durationMs,
    next_cursor: nextCursor,
    ...(error === undefined ? {} : { error: [error, ...formatAttempts(attempts)].join('; ') }),
  };
}

/** Prints a round that was asked for once. */
export async function showRound(
  { reports, problems }: Round,
  screen: Screen,
  isJson: boolean,
): Promise<void> {
  for (const problem of problems) screen.note(`warning: ${problem}`);
  showFailures(reports, screen);
  if (isJson) {
    for (const report of reports) await screen.out(JSON.stringify(toJson(report)));
    return;
  }
  if (reports.length === 0) return;
  const rows = reports.map(({ peerId, entries, duplicates, bytes, durationMs, error }) => [
    shortenPeerIds(peerId),
    formatCount(entries),
    formatCount(duplicates),
    formatBytes(bytes),
    formatDuration(durationMs),
    error === undefined ? 'ok' : 'failed',
  ]);
  for (const line of formatTable(['PEER', 'ENTRIES', 'DUPLICATES', 'BYTES', 'TIME', 'RESULT'], rows))
    await screen.out(line);
}

/** One line for each attempt to connect: the address, how far it got, why it ended. */
function showFailures(reports: readonly PullReport[], screen: Screen): void {
  for (const { peerId, attempts, error } of reports) {
    // What failed on the way to a connection that worked in the end is of no interest.
    if (error === undefined) continue;
    screen.note(shortenPeerIds(`${peerId}: ${error}`));
    for (const attempt of formatAttempts(attempts))
      for (const line of wrap(shortenPeerIds(attempt), screen.columns, '  ', '    ')) screen.note(line);
  }
}

/** Prints a round of a watch, as one line. */
export async function showWatched(
  round: Round,
  durationMs: number,
  screen: Screen,
  isJson: boolean,
): Promise<void> {
  const { reports, problems } = round;
  const failed = reports.filter(({ error }) => error !== undefined);
  const total = sum(reports);
  if (isJson) {
    const at = new Date().toISOString();
    const counts = { peers: reports.length, failed: failed.length, ...total, duration_ms: durationMs };
    await screen.out(JSON.stringify({ at, ...counts, problems, reports: reports.map(toJson) }));
    return;
  }
  const time = new Date().toISOString().slice(11, 19);
  await screen.out(
    `${time} ${formatAmount(reports.length, 'peer', 'peers')}, ${formatProgress(total)}, ${failed.length} failed`,
  );
  for (const problem of problems) screen.note(`  warning: ${problem}`);
  showFailures(reports, screen);
}
