// Who may do what: reads a request's token and weighs a grant. It never says which part of a token was wrong.
import type { Grant, Tokens } from './tokens.ts';

/** The grant of everybody where no tokens are configured. */
const EVERYTHING: Grant = { id: undefined, userId: undefined, readOnly: false };

export interface Auth {
  /** The grant of a request, or `undefined` when it has no valid token; reads only the headers it needs. */
  identify(header: (name: string) => string | undefined): Grant | undefined;
}

/** Without tokens, everybody may do everything. */
export function createAuth(tokens: Pick<Tokens, 'find'> | undefined): Auth {
  if (tokens === undefined) return { identify: () => EVERYTHING };
  return {
    // Either header will do: a proxy may use `Authorization` for itself.
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

/** Whether the grant reaches a user's devices; `undefined` stands for all users, or a device of none. */
export function reaches({ userId }: Grant, wanted: string | null | undefined): boolean {
  return userId === undefined || userId === wanted;
}

/** The token of `Bearer T`, or of `Basic` with the token as password, which is what a browser can ask for. */
function tokenOf(authorization: string): string {
  const [, scheme = '', value = ''] = /^(bearer|basic) +(.*)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== 'basic') return value.trim();
  const login = Buffer.from(value, 'base64').toString('utf8');
  return login.slice(login.indexOf(':') + 1);
}
