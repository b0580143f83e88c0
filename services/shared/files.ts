// Reads small files that a configuration refers to: keys, tokens, mounted Secrets.
import { readFileSync } from 'node:fs';
import { describeError } from './errors.ts';

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
