// The tokens that open the API: read from a file or a directory of files (as Kubernetes mounts a Secret), and read
// again while running, so that they can be rotated without a restart.
import { hash, randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallFile } from '../shared/files.ts';
import { ConfigError, describeError } from '../shared/errors.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';

/** What a token allows. */
export interface Grant {
  /** Stands for the token where its requests are counted, and tells nothing about it; absent where none is needed. */
  readonly id: string | undefined;
  /** The only user it may register and list; any user when absent. */
  readonly userId: string | undefined;
  /** It may list, but neither register nor unregister. */
  readonly readOnly: boolean;
}

export interface Tokens extends Component {
  /** The grant of a token, in a time that tells nothing about other tokens. */
  find(token: string): Grant | undefined;
}

/** Bounds of what is read: a table of tokens stays small. */
const MAX_FILES = 1_000;
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_TOKENS = 10_000;
const MAX_TOKEN_LENGTH = 512;

/** Tokens shorter than this can be guessed, in characters; they are accepted with a warning. */
const SHORT_TOKEN_LENGTH = 16;

/** How often the files are read again, in milliseconds. A kubelet updates a mounted Secret about once a minute. */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * Tokens from `path`, one a line: `TOKEN`, then optionally `user=ID` (percent-encoded) and `read-only`. Lines that
 * are empty or begin with `#` are skipped. In a directory every file is read but those that begin with a dot.
 *
 * @throws ConfigError naming every line that cannot be used, never the token in it.
 */
export function createTokens(path: string, log: Logger): Tokens {
  // Digests keyed by a secret of this process: how long a look-up takes tells nothing about a token.
  const key = randomBytes(32).toString('base64');
  const digest = (token: string): string => hash('sha256', key + token, 'base64');

  let text = readAll(path);
  let grants = parse(text, digest, log);
  if (grants.size === 0) throw new ConfigError([`TRACKER_TOKENS_FILE names ${path}, which holds no token`]);
  let timer: NodeJS.Timeout | undefined;

  function reload(): void {
    try {
      const now = readAll(path);
      if (now === text) return;
      grants = parse(now, digest, log);
      text = now;
      // No token at all is taken at its word: everybody is shut out, nobody let in.
      log[grants.size === 0 ? 'error' : 'info']({ path, tokens: grants.size }, 'tokens read again');
    } catch (error) {
      log.error({ path, error: describeError(error) }, 'tokens not read again; the last ones stay valid');
    }
  }

  return {
    name: 'tokens',
    async start() {
      timer = setInterval(reload, RELOAD_INTERVAL_MS);
    },
    async stop() {
      clearInterval(timer);
    },
    find: (token) => (token.length > MAX_TOKEN_LENGTH ? undefined : grants.get(digest(token))),
  };
}

function readAll(path: string): string {
  try {
    if (!statSync(path).isDirectory()) return readSmallFile(path, MAX_FILE_BYTES).toString('utf8');
    const names = readdirSync(path).filter((name) => !name.startsWith('.'));
    if (names.length > MAX_FILES) throw new Error(`names ${path}, which holds more than ${MAX_FILES} files`);
    return names
      .toSorted()
      .filter((name) => statSync(join(path, name)).isFile())
      .map((name) => readSmallFile(join(path, name), MAX_FILE_BYTES).toString('utf8'))
      .join('\n');
  } catch (error) {
    throw new ConfigError([`TRACKER_TOKENS_FILE ${describeError(error)}`]);
  }
}

function parse(text: string, digest: (token: string) => string, log: Logger): Map<string, Grant> {
  const grants = new Map<string, Grant>();
  const problems: string[] = [];
  let short = 0;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [token, ...attributes] = line.trim().split(/\s+/);
    if (token === undefined || token === '' || token.startsWith('#')) continue;
    try {
      if (!/^[\x21-\x7e]+$/.test(token) || token.length > MAX_TOKEN_LENGTH)
        throw new Error(`is not ${MAX_TOKEN_LENGTH} or fewer printable ASCII characters`);
      if (/^(["']).*\1$/.test(token)) throw new Error('is in quotes; write the bare token');
      const id = digest(token);
      grants.set(id, { id, ...parseAttributes(attributes) });
      if (token.length < SHORT_TOKEN_LENGTH) short += 1;
    } catch (error) {
      problems.push(`TRACKER_TOKENS_FILE has a token in line ${index + 1} that ${describeError(error)}`);
    }
  }
  if (grants.size > MAX_TOKENS) problems.push(`TRACKER_TOKENS_FILE has more than ${MAX_TOKENS} tokens`);
  if (problems.length > 0) throw new ConfigError(problems);
  if (short > 0) log.warn({ short, least: SHORT_TOKEN_LENGTH }, 'tokens this short can be guessed');
  return grants;
}

function parseAttributes(attributes: readonly string[]): Omit<Grant, 'id'> {
  let userId: string | undefined;
  let readOnly = false;
  for (const attribute of attributes) {
    if (attribute === 'read-only') readOnly = true;
    else if (attribute.startsWith('user=') && attribute.length > 'user='.length)
      userId = decodeURIComponent(attribute.slice('user='.length));
    else throw new Error('is followed by something else than user=ID or read-only');
  }
  return { userId, readOnly };
}
