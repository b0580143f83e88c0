// The checks of `doctor` of the permissions of files and folders. The keys, the token and the history are secrets. Problems
// are warnings and not failures, because the modes of mounted Secrets may be fixed.
import { type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PeerConfig } from '../config/config.ts';
import type { Finding } from './finding.ts';

/** Permissions of users other than the owner: all, and those to change something. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/** The bit of folders such as /tmp, which all users share. */
const STICKY = 0o1000;

/** The files that SQLite keeps next to the database. */
const SIDE_FILES = ['-wal', '-shm'] as const;

/** A key with its name and path. */
export function checkKeyMode(subject: string, path: string, name: string): Finding {
  if (!isOpen(path, OTHERS)) return { subject, state: 'ok', detail: `${name}, ${path}` };
  return {
    subject,
    state: 'warning',
    detail: `${name}, ${path}. Other users can read or change the file (mode ${modeOf(path)}).`,
    advice: `Run ${chmod('600', path)}.`,
  };
}

/** config.toml, which may contain the token, and the folders of the configuration and the keys. */
export function checkFileModes({ file, swarmKeyPath, identityPath, hub }: PeerConfig): Finding[] {
  const findings: Finding[] = [];
  if (isOpen(file.path, OTHERS))
    findings.push({
      subject: 'config',
      state: 'warning',
      detail: `Other users can read or change ${file.path} (mode ${modeOf(file.path)}), which may contain tracker_token.`,
      advice: `Run ${chmod('600', file.path)}.`,
    });
  const folders = new Set(
    [file.path, swarmKeyPath, hub.secretPath ?? identityPath].map((path) => dirname(path)),
  );
  for (const folder of folders)
    if (isOpen(folder, OTHERS_WRITE))
      findings.push({
        subject: 'config',
        state: 'warning',
        detail: `Other users can replace the files in ${folder} (mode ${modeOf(folder)}).`,
        advice: `Run ${chmod('700', folder)}.`,
      });
  return findings;
}

/** The modes of the database before it is opened. */
export type DatabaseModes = ReadonlyMap<string, string>;

/** The files of the database that other users can read or change, with their modes. */
export function readModes({ databasePath }: PeerConfig): DatabaseModes {
  const paths = [databasePath, ...SIDE_FILES.map((suffix) => `${databasePath}${suffix}`)];
  return new Map(paths.filter((path) => isOpen(path, OTHERS)).map((path) => [path, modeOf(path)]));
}

/** The database and its folder. */
export function checkDatabaseModes({ databasePath, home }: PeerConfig, before: DatabaseModes): Finding[] {
  // SQLite removes its other files when the last process closes the database.
  const existing = [...before].filter(([path]) => statsOf(path) !== undefined);
  const findings = existing.map(([path, mode]): Finding => {
    const isFixed = !isOpen(path, OTHERS);
    return {
      subject: 'database',
      state: 'warning',
      detail: isFixed
        ? `Other users could read or change ${path} (mode ${mode}), until doctor opened the database.`
        : `Other users can read or change ${path} (mode ${mode}).`,
      advice: isFixed
        ? `Find out what sets this mode. To set it by hand, run ${chmod('600', path)}.`
        : `Run ${chmod('600', path)}.`,
    };
  });
  const folder = dirname(databasePath);
  const stats = statsOf(folder);
  if (stats === undefined || !isOpen(folder, OTHERS)) return findings;
  const isShared = (stats.mode & STICKY) !== 0 || stats.uid !== process.getuid?.() || folder === home;
  // Names and times of files in the home folder are not secret, and other programs depend on its mode.
  if (isShared && (stats.mode & OTHERS_WRITE) === 0) return findings;
  findings.push({
    subject: 'database',
    state: 'warning',
    detail: `Other users can open the folder ${folder} of the database (mode ${modeOf(folder)}).`,
    advice: isShared
      ? `Set db_path to a file in a folder of its own, and run chmod 700 on that folder.`
      : `Run ${chmod('700', folder)}.`,
  });
  return findings;
}

function isOpen(path: string, permissions: number): boolean {
  const stats = statsOf(path);
  return stats !== undefined && (stats.mode & permissions) !== 0;
}

function modeOf(path: string): string {
  return ((statsOf(path)?.mode ?? 0) & 0o777).toString(8).padStart(3, '0');
}

/** `undefined` when the path does not exist or cannot be read. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** The command to set a mode, for any shell. */
function chmod(mode: string, path: string): string {
  const word = /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return `chmod ${mode} ${word}`;
}
