// The tokens of the API: read from a file or a directory of files (such as a mounted Secret of Kubernetes), and read
// again while the tracker runs, so that a rotation requires no restart.
import { hash, randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallFile } from '../shared/files.ts';
import { monotonicMs } from '../shared/clock.ts';
import { ConfigError, describeError } from '../shared/errors.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';

/** The permissions of a token. */
export interface Grant {
  /**
   * Key of the token for its rate limit, which reveals nothing about the token; `undefined` when no tokens are
   * configured.
   */
  readonly id: string | undefined;
  /** The only user whose devices it may register and list; `undefined`: any user. */
  readonly userId: string | undefined;
  /** Whether it permits only listing, and neither registering nor unregistering. */
  readonly readOnly: boolean;
  /** Whether what it registers is a hub of its user, and whether it lists all devices of a user with a hub. */
  readonly isHub: boolean;
}

/** The tokens at the time of one read of the files, as digests. */
export interface TokenTable {
  readonly path: string;
  readonly size: number;
  /** Whether a token is marked as that of a hub. */
  readonly hasHub: boolean;
  /** Hash of the content of the files, to detect changes. */
  readonly contentHash: string;
  /** Whole sentences about tokens that should be changed. */
  readonly warnings: readonly string[];
  /** Finds the grant of a token. The duration of the lookup reveals nothing about other tokens. */
  find(token: string): Grant | undefined;
  /** Reads the files again. @throws ConfigError */
  reread(): TokenTable;
}

export interface Tokens extends Component {
  /** Finds the grant of a token, according to the last successful read. */
  find(token: string): Grant | undefined;
}

/** Limits on the files. */
const MAX_FILES = 1_000;
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_TOKENS = 10_000;
const MAX_TOKEN_LENGTH = 512;

/** Minimum length of a safe token, in characters. Shorter tokens can be guessed and cause a warning. */
const SHORT_TOKEN_LENGTH = 16;

/** When the files are read again. */
export interface ReloadTimes {
  /** Milliseconds between two reads. A kubelet updates a mounted Secret about once a minute. */
  readonly intervalMs: number;
  /**
   * Milliseconds for which every read must find the same content before it is used. A program that writes the file in
   * several steps leaves a line without its end for a moment, such as a token without the user that it is bound to.
   */
  readonly settleMs: number;
}

const RELOAD_TIMES: ReloadTimes = { intervalMs: 1_000, settleMs: 2_000 };

const VARIABLE = 'TRACKER_TOKENS_FILE';

/** Why a star has no effect. It is not an error, because the token of a hub may be added while the tracker runs. */
const NO_HUB_WARNING = `TRACKER_STAR: No token in ${VARIABLE} is marked as that of a hub, so no device can be the hub of a user; write hub after the token of each hub.`;

/**
 * Reads the tokens at `path`, one per line: `TOKEN`, then optionally `user=ID` (percent-encoded), and `hub` or
 * `read-only`. Empty lines and lines that start with `#` are skipped. In a directory every file is read, except those that start
 * with a dot.
 *
 * @param needsHub whether to warn when no token is marked as that of a hub
 * @throws ConfigError with one problem for each line that cannot be used; none repeats a token.
 */
export function readTokens(path: string, needsHub = false): TokenTable {
  // The digests depend on a random key of this process, so that the duration of a lookup reveals nothing about a token.
  const key = randomBytes(32).toString('base64');
  const table = readTable(path, needsHub, (token) => hash('sha256', key + token, 'base64'));
  if (table.size === 0) throw new ConfigError([`${VARIABLE}: ${path}: The file contains no tokens.`]);
  return table;
}

/** What a read of the files found: a table, or the reason why there is none. */
interface Reading {
  /** Two readings with the same content are equal. */
  readonly content: string;
  readonly table?: TokenTable;
}

/**
 * Keeps the tokens up to date. A new content is used when it did not change for `settleMs`. When the files cannot be
 * used, the previous tokens stay valid, and the reason is logged once.
 *
 * @param nowMs monotonic clock in milliseconds
 */
export function createTokens(
  initial: TokenTable,
  log: Logger,
  { intervalMs, settleMs }: ReloadTimes = RELOAD_TIMES,
  nowMs: () => number = monotonicMs,
): Tokens {
  let table = initial;
  let used = initial.contentHash;
  let candidate: { readonly content: string; readonly sinceMs: number } | undefined;
  let timer: NodeJS.Timeout | undefined;

  function read(): Reading {
    try {
      const next = table.reread();
      return { content: next.contentHash, table: next };
    } catch (error) {
      return { content: describeError(error) };
    }
  }

  function use({ content, table: next }: Reading): void {
    const { path } = table;
    used = content;
    candidate = undefined;
    if (next === undefined) {
      log.error({ path, error: content }, 'tokens not read again; the last ones stay valid');
      return;
    }
    table = next;
    for (const warning of next.warnings) log.warn({ warning }, 'configuration');
    // An empty file is valid during a reread: then every request is refused.
    log[next.size === 0 ? 'error' : 'info']({ path, tokens: next.size }, 'tokens read again');
  }

  function reload(): void {
    const reading = read();
    if (reading.content === used) candidate = undefined;
    else if (candidate?.content !== reading.content)
      candidate = { content: reading.content, sinceMs: nowMs() };
    else if (nowMs() - candidate.sinceMs >= settleMs) use(reading);
  }

  return {
    name: 'tokens',
    async start() {
      timer = setInterval(reload, intervalMs);
    },
    async stop() {
      clearInterval(timer);
    },
    find: (token) => table.find(token),
  };
}

function readTable(path: string, needsHub: boolean, digest: (token: string) => string): TokenTable {
  const files = readAll(path);
  const grants = new Map<string, Grant>();
  const problems: string[] = [];
  const repeated = new Set<string>();
  let shortTokens = 0;
  for (const { place, line } of files.flatMap(linesOf)) {
    const [token, ...attributes] = line.trim().split(/\s+/);
    if (token === undefined || token === '' || token.startsWith('#')) continue;
    try {
      checkToken(token);
      const id = digest(token);
      const grant = { id, ...parseAttributes(attributes) };
      const earlier = grants.get(id);
      if (earlier !== undefined && !isSameGrant(earlier, grant)) repeated.add(id);
      grants.set(id, grant);
      if (token.length < SHORT_TOKEN_LENGTH) shortTokens += 1;
    } catch (error) {
      problems.push(`${VARIABLE}: ${place}: ${describeError(error)}.`);
    }
  }
  if (grants.size > MAX_TOKENS)
    problems.push(`${VARIABLE}: The files contain ${grants.size} tokens; the maximum is ${MAX_TOKENS}.`);
  if (problems.length > 0) throw new ConfigError(problems);
  const hasHub = [...grants.values()].some(({ isHub }) => isHub);
  const shortWarning = `${VARIABLE}: ${shortTokens} tokens have fewer than ${SHORT_TOKEN_LENGTH} characters and can be guessed; use longer ones.`;
  const repeatedWarning = `${VARIABLE}: ${repeated.size} tokens are on several lines with different permissions, of which the last line counts; write each token once.`;
  return {
    path,
    size: grants.size,
    hasHub,
    contentHash: digest(files.map(({ text }) => text).join('\n')),
    warnings: [
      ...(shortTokens === 0 ? [] : [shortWarning]),
      ...(repeated.size === 0 ? [] : [repeatedWarning]),
      ...(needsHub && !hasHub ? [NO_HUB_WARNING] : []),
    ],
    find: (token) => (token.length > MAX_TOKEN_LENGTH ? undefined : grants.get(digest(token))),
    reread: () => readTable(path, needsHub, digest),
  };
}

function isSameGrant(a: Grant, b: Grant): boolean {
  return a.userId === b.userId && a.readOnly === b.readOnly && a.isHub === b.isHub;
}

interface TokenFile {
  readonly path: string;
  readonly text: string;
}

function linesOf({ path, text }: TokenFile): Array<{ readonly place: string; readonly line: string }> {
  return text.split(/\r?\n/).map((line, index) => ({ place: `${path}: line ${index + 1}`, line }));
}

function readTokenFile(path: string): TokenFile {
  return { path, text: readSmallFile(path, MAX_FILE_BYTES).toString('utf8') };
}

function readAll(path: string): TokenFile[] {
  try {
    if (!isDirectory(path)) return [readTokenFile(path)];
    const names = readdirSync(path).filter((name) => !name.startsWith('.'));
    if (names.length > MAX_FILES)
      throw new Error(`${path}: The directory contains ${names.length} files; the maximum is ${MAX_FILES}.`);
    return names
      .toSorted()
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile())
      .map(readTokenFile);
  } catch (error) {
    throw new ConfigError([`${VARIABLE}: ${describeError(error)}.`]);
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // Reading it as a file will fail too, with an error that names the path.
    return false;
  }
}

function checkToken(token: string): void {
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > MAX_TOKEN_LENGTH)
    throw new Error(`The token is not ${MAX_TOKEN_LENGTH} or fewer printable ASCII characters.`);
  if (/^(["']).*\1$/.test(token)) throw new Error('The token is in quotes; write it without them.');
}

function parseAttributes(attributes: readonly string[]): Omit<Grant, 'id'> {
  let userId: string | undefined;
  const readOnly = attributes.includes('read-only');
  const isHub = attributes.includes('hub');
  for (const attribute of attributes) {
    if (attribute === 'read-only' || attribute === 'hub') continue;
    if (attribute.startsWith('user=') && attribute.length > 'user='.length)
      userId = decodeUserId(attribute.slice('user='.length));
    else throw new Error('The text after the token is not user=ID, hub or read-only.');
  }
  if (isHub && readOnly)
    throw new Error(
      'The token is marked as hub and as read-only; a hub registers itself, so remove one of the two.',
    );
  return { userId, readOnly, isHub };
}

function decodeUserId(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new Error('The ID of user=ID is not valid percent-encoding.');
  }
}
