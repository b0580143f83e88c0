// Closes the connection of a pull, so that its circuit no longer counts at the relay.
import type { Connection } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import type { Dialed } from '../network/dial.ts';
import { PULL_PROTOCOLS } from './sync-protocol.ts';

/** Deadline of the graceful close of a connection in milliseconds. Then it is aborted. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Closes the connection, if there is one, unless the peer is pulling over it. */
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
  return streams.some(({ protocol }) => PULL_PROTOCOLS.includes(protocol));
}
