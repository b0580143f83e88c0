// Reads who may use the API: the tokens, and whether it may be open to everyone.
import { ConfigError } from '../shared/errors.ts';
import type { ListenAddress } from '../shared/variables.ts';
import { readTokens, type TokenTable } from './tokens.ts';

/** Reads the tokens. Problems are added to the list. */
export function readTokenFile(path: string | undefined, problems: string[]): TokenTable | undefined {
  if (path === undefined) return undefined;
  try {
    return readTokens(path);
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
}

/** An API that others can reach requires tokens, unless the operator permits access without them. */
export function checkAccess({ listens, isOpenAllowed, hasTokens }: Access, problems: string[]): void {
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
