// Reads config.toml, which this peer shares with `rr`.
import { parse, TomlError } from 'smol-toml';
import { describeError, errorCode } from '../../shared/errors.ts';
import { readSmallFile } from '../../shared/files.ts';

/** Maximum size of config.toml; one with every setting has about 2 KiB. */
const MAX_FILE_BYTES = 256 * 1024;

/** A configuration file that was read. */
export interface ConfigFile {
  readonly path: string;
  /** Empty when the file does not exist or has a problem. */
  readonly table: Readonly<Record<string, unknown>>;
  readonly exists: boolean;
}

/** Reads the file. A missing file is empty; a problem is added, with line and column and without the content. */
export function readConfigFile(path: string, problems: string[]): ConfigFile {
  try {
    return { path, table: parse(readSmallFile(path, MAX_FILE_BYTES).toString('utf8')), exists: true };
  } catch (error) {
    if (error instanceof Error && errorCode(error.cause) === 'ENOENT')
      return { path, table: {}, exists: false };
    problems.push(`${describeProblem(path, error)}.`);
    return { path, table: {}, exists: true };
  }
}

function describeProblem(path: string, error: unknown): string {
  if (!(error instanceof TomlError)) return describeError(error);
  // Only the first line: the library adds the lines around the problem, which may hold the token.
  const [reason = ''] = error.message.split('\n', 1);
  return `${path}:${error.line}:${error.column}: ${reason}`;
}

/** A value as the text that a variable would have, because every source is read by the same parser. */
export function toSettingText(value: unknown): string {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const texts = items.map((item) => {
    if (typeof item === 'string') return item.trim();
    if (typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new Error('The value is neither a string, a number, a boolean nor a list of these.');
  });
  return texts.join(',');
}
