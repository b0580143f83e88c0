// Ends the hub when its database got another id while it runs, as `hub new-identity` does: the peer id follows from the
// id, and a node cannot change its peer id. A supervisor starts the hub again.
import type { Component, ComponentFailure } from '../../shared/lifecycle.ts';

/** Interval in milliseconds at which the id is read. */
const CHECK_INTERVAL_MS = 2_000;

export interface IdentityChangeDeps {
  /** The id that the identity of this process was derived from. */
  readonly databaseId: string;
  /** Reads the id that the database has now. @throws DatabaseError */
  readonly readId: () => string | undefined;
  /** The exit code of the process. */
  readonly exitCode: number;
  /** Default 2,000. */
  readonly intervalMs?: number;
}

/** The component that fails when the id of the database has changed. */
export function createIdentityChange(deps: IdentityChangeDeps): Component {
  const { databaseId, readId, exitCode, intervalMs = CHECK_INTERVAL_MS } = deps;
  const failed = Promise.withResolvers<ComponentFailure>();
  let timer: NodeJS.Timeout | undefined;

  function check(): void {
    if (currentId() === databaseId) return;
    clearInterval(timer);
    failed.resolve({
      text: 'The database has a new id, so that the hub must start again with its new identity.',
      exitCode,
    });
  }

  function currentId(): string | undefined {
    try {
      return readId();
    } catch {
      // The database component reports a database that cannot be read.
      return databaseId;
    }
  }

  return {
    name: 'identity',
    failed: failed.promise,
    start: async () => void (timer = setInterval(check, intervalMs)),
    stop: async () => clearInterval(timer),
  };
}
