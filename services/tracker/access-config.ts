// Reads who may use the API: the tokens, and whether it may be open to everyone.
import { ConfigError } from '../shared/errors.ts';
import type { ListenAddress } from '../shared/variables.ts';
import { readTokens, type TokenTable } from './tokens.ts';

/** Reads the tokens. Problems are added to the list. @param isStar whether a token of a hub is expected */
export function readTokenFile(
  path: string | undefined,
  isStar: boolean,
  problems: string[],
): TokenTable | undefined {
  if (path === undefined) return undefined;
  try {
    return readTokens(path, isStar);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

export interface Access {
  /** Addresses of the API; `undefined` for those that are not set, or could not be read. */
  readonly listens: ReadonlyArray<ListenAddress | undefined>;
  /** Whether the operator permits access without tokens. */
  readonly isOpenAllowed: boolean;
  readonly hasTokens: boolean;
  /** Whether only the hub of a user is listed. */
  readonly isStar: boolean;
}

/**
 * An API that others can reach requires tokens, unless the operator permits access without them. A star requires them
 * always: without tokens, everyone could become the hub of any user and read its history.
 */
export function checkAccess({ listens, isOpenAllowed, hasTokens, isStar }: Access, problems: string[]): void {
  if (isStar && !hasTokens)
    problems.push(
      'TRACKER_STAR: true without TRACKER_TOKENS_FILE, so every device could become the hub of any user; ' +
        'set TRACKER_TOKENS_FILE to tokens of which that of the hub is marked, or remove TRACKER_STAR.',
    );
  const open = listens.find((listen) => listen !== undefined && !isLoopback(listen.host));
  if (open === undefined || isOpenAllowed || hasTokens) return;
  problems.push(
    `TRACKER_TOKENS_FILE: not set, so everyone who reaches ${open.host} could register and list devices; ` +
      'set it, listen on 127.0.0.1, or set TRACKER_ALLOW_UNAUTHENTICATED=true.',
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
