// Closes the connection to a peer, so that its circuit no longer counts at the relay.
import type { Connection } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import type { Dialed } from '../network/dial.ts';
import { PUSH_PROTOCOLS } from './push-protocol.ts';
import { PULL_PROTOCOLS } from './sync-protocol.ts';

/** The protocols of requests that the peer may have sent over the connection. */
const IN_USE: ReadonlySet<string> = new Set([...PULL_PROTOCOLS, ...PUSH_PROTOCOLS]);

/** Deadline of the graceful close of a connection in milliseconds. Then it is aborted. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Closes the connection, if there is one, unless the peer is pulling or pushing over it. */
export async function releaseConnection(state: { dialed: Dialed | undefined }): Promise<void> {
  const connection = state.dialed?.connection;
  state.dialed = undefined;
  if (connection === undefined || connection.status !== 'open' || isInUse(connection)) return;
  try {
    await connection.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) });
  } catch (error) {
    connection.abort(toError(error));
  }
}

function isInUse({ streams }: Connection): boolean {
  return streams.some(({ protocol }) => IN_USE.has(protocol));
}
