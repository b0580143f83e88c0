// Files and directories that a configuration refers to: keys, tokens, mounted Secrets, databases.
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { describeError, errorCode } from './errors.ts';

/**
 * Reads a file whose maximum size is `maxBytes`.
 *
 * @throws Error that names the path and the reason, never the content.
 */
export function readSmallFile(path: string, maxBytes: number): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new Error(`${path}: cannot be read: ${describeError(error)}.`, { cause: error });
  }
  if (content.length > maxBytes) throw new Error(`${path}: The file is larger than ${maxBytes} bytes.`);
  return content;
}

/** Permissions of users other than the owner. */
const OTHERS = 0o077;

/**
 * Writes a file with mode 0600. An existing one gets this mode before it has the new content, and stays the same file,
 * because it may be a symbolic link or a mount.
 *
 * @throws Error of the file system
 */
export function writePrivateFile(path: string, content: string): void {
  // Not truncated before other users have lost their permissions.
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    fchmodSync(file, 0o600);
    ftruncateSync(file);
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes the permissions of other users from a file, if it has some and this user may do so. */
export function makeFilePrivate(path: string): void {
  try {
    const { mode } = statSync(path);
    if ((mode & OTHERS) !== 0) chmodSync(path, mode & 0o700);
  } catch {
    // The file belongs to another user, or is a mounted Secret.
  }
}

/** Creates a directory that only its owner can use, and its missing parents. @throws Error of the file system */
export function makePrivateDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  // One directory at a time: with the option `recursive` Node never returns below /proc.
  if (dirname(path) !== path) makePrivateDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have created it in the meantime.
    if (errorCode(error) !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}
