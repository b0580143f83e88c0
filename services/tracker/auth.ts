// Authenticates requests by their token, and checks the permissions of its grant. Responses and their timing reveal
// nothing about valid tokens.
import type { Grant, Tokens } from './tokens.ts';

/** The grant of every request when no tokens are configured. */
const UNRESTRICTED: Grant = { id: undefined, userId: undefined, readOnly: false, isHub: false };

export interface Auth {
  /** The grant of a request, or `undefined` when it has no valid token. Reads only the headers that it requires. */
  identify(header: (name: string) => string | undefined): Grant | undefined;
}

/** @param tokens `undefined`: every request is permitted */
export function createAuth(tokens: Pick<Tokens, 'find'> | undefined): Auth {
  if (tokens === undefined) return { identify: () => UNRESTRICTED };
  return {
    // One valid header is sufficient, because a proxy may use `Authorization` for its own login.
    identify(header) {
      const authorization = header('authorization');
      const rustoryToken = header('x-rustory-token');
      return (
        (authorization === undefined ? undefined : tokens.find(tokenOf(authorization))) ??
        (rustoryToken === undefined ? undefined : tokens.find(rustoryToken.trim()))
      );
    },
  };
}

/** Whether a request has a token, valid or not. */
export function hasToken(header: (name: string) => string | undefined): boolean {
  return header('authorization') !== undefined || header('x-rustory-token') !== undefined;
}

/**
 * Whether the grant permits access to the devices of a user.
 *
 * @param userId `undefined`: all users; `null`: a device without a user
 */
export function permitsUser(grant: Grant, userId: string | null | undefined): boolean {
  return grant.userId === undefined || grant.userId === userId;
}

/** What devices send before their token. */
const USUAL_START = 'Bearer ';

/** The token of `Bearer TOKEN`, or of `Basic` with the token as the password, which browsers send. */
function tokenOf(authorization: string): string {
  if (authorization.startsWith(USUAL_START)) return authorization.slice(USUAL_START.length).trim();
  const [, scheme = '', value = ''] = /^(bearer|basic) +(.*)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== 'basic') return value.trim();
  const login = Buffer.from(value, 'base64').toString('utf8');
  return login.slice(login.indexOf(':') + 1);
}
