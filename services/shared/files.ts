// Files and directories that a configuration refers to: keys, tokens, mounted Secrets, databases.
import { mkdirSync, readFileSync, statSync } from 'node:fs';
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
