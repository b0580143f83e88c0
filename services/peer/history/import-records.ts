// Converts the commands of a history file to records to import, each with its time and its ids.
import { createHash } from 'node:crypto';
import type { Shell } from './history-lines.ts';
import { createDating, type TimeSummary } from './history-times.ts';
import type { ImportRecord } from './import-ids.ts';
import { isRrCommand } from './rr-records.ts';
import type { HistoryCommand } from './shell-history.ts';

/** The fields that all entries of one import share. */
export interface Provenance {
  readonly shell: Shell;
  readonly userId: string;
  readonly deviceId: string;
  readonly hostname: string;
  readonly version: string;
  /** Time of the last command if the file has no times. */
  readonly lastUnixSeconds: number;
  /** Commands that are not imported. */
  readonly isIgnored?: (command: string) => boolean;
}

/** Directory of an imported command, because history files do not contain it. `rr` uses the same text. */
const UNKNOWN_DIRECTORY = 'unknown';

/** The namespace of UUIDs that are made from URLs (RFC 9562, section 6.6). */
const URL_NAMESPACE = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex');

/** A record with its place in the file. */
export interface LocatedRecord extends ImportRecord {
  /** The number of its first line. */
  readonly lineNumber: number;
  /** Whether the command of the entry is only the start of a command that is too large. */
  readonly isCut: boolean;
}

/**
 * Converts commands to records. The file yields the same ids each time it is imported, and those that `rr` derives from
 * it; on another device it yields different ids. Commands of `rr` itself are omitted, as in `rr`. A generator, so that
 * the entries of a large file are not all in memory.
 */
export function* toRecords(
  commands: Iterable<HistoryCommand>,
  from: Provenance,
  times: TimeSummary,
): Generator<LocatedRecord> {
  const repetitions = new Map<number, number>();
  const dateOf = createDating(times, from.lastUnixSeconds);
  for (const line of commands) {
    const { command, unixSeconds, durationMs, idTime, lineNumber, isCut } = line;
    const ts = dateOf(unixSeconds);
    if (isRrCommand(command) || from.isIgnored?.(command) === true) continue;
    // Shells remove old lines, which changes line numbers. The number of equal commands before this one changes only
    // when one of those is removed.
    const key = `${idTime ?? ''}\0${command}`;
    const keyHash = hashOf(key);
    const repetition = repetitions.get(keyHash) ?? 0;
    repetitions.set(keyHash, repetition + 1);
    const entry = {
      entry_id: entryIdOf(line, from),
      device_id: from.deviceId,
      user_id: from.userId,
      ts,
      cmd: command,
      cwd: UNKNOWN_DIRECTORY,
      exit_code: 0,
      duration_ms: durationMs,
      shell: from.shell,
      hostname: from.hostname,
      version: from.version,
    };
    yield { entry, repetitionId: repetitionIdOf(key, repetition, from), lineNumber, isCut };
  }
}

/** 52 bits of a hash, because the texts themselves could fill the memory. */
function hashOf(text: string): number {
  const digest = createHash('sha1').update(text).digest();
  return digest.readUIntBE(0, 6) * 16 + (digest.readUInt8(6) & 0x0f);
}

/** The id that `rr` derives, or for a command that is not one record of `rr` an id that no record of `rr` can have. */
function entryIdOf({ command, idTime, position, rrRecord }: HistoryCommand, from: Provenance): string {
  const owner = [from.userId, from.deviceId, from.shell];
  const name =
    rrRecord === undefined
      ? ['rustory-p2p:import', ...owner, idTime ?? 0, position, command]
      : ['rustory:import', ...owner, rrRecord.time, rrRecord.index, rrRecord.command];
  const hash = createHash('sha1').update(URL_NAMESPACE).update(name.join('\0')).digest();
  return toUuid(hash, 5);
}

/** The id under which earlier versions stored a command. */
function repetitionIdOf(key: string, repetition: number, { userId, deviceId, shell }: Provenance): string {
  const parts = ['import', userId, deviceId, shell, key, String(repetition)];
  return toUuid(createHash('sha256').update(parts.join('\0')).digest(), 8);
}

/** A UUID of this version (RFC 9562) made from the first 16 bytes of a hash. */
function toUuid(hash: Buffer, version: number): string {
  const bytes = hash.subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
