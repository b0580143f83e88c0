// Reads config.toml, which `rr` uses too.
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

/** Reads the file. A missing file counts as empty. A problem is added with its line and column, without the content. */
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
  // Only the first line, because the library adds the lines around the problem, which may contain the token.
  const [reason = ''] = error.message.split('\n', 1);
  return `${path}:${error.line}:${error.column}: ${reason}`;
}

/** Converts a value to the text that a variable would have, because all sources use the same parsers. */
export function toSettingText(value: unknown): string {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const texts = items.map((item) => {
    if (typeof item === 'string') return item.trim();
    if (typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new Error('The value is neither a string, a number, a boolean nor a list of these.');
  });
  return texts.join(',');
}
