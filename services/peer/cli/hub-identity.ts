// The identity of the hub in this configuration, for the commands about it. It follows from the database, which is opened
// for it.
import { ConfigError } from '../../shared/errors.ts';
import type { PeerConfig } from '../config/config.ts';
import { ensureDatabaseId } from '../history/database-id.ts';
import { hubIdentity, isSeedOf, readHubSecret } from '../hub/identity.ts';
import { type History, openHistory } from './context.ts';
import type { HubIdentity } from './hub-process.ts';

/** The secret of the hub. @throws ConfigError when it cannot be read, or is the seed of a relay */
export async function loadHubSecret({ hub: { secretPath = '' }, relays }: PeerConfig): Promise<Uint8Array> {
  const secret = readHubSecret(secretPath);
  if (await isSeedOf(secret, relays))
    throw new ConfigError([
      `hub_secret_path: ${secretPath} has the seed of a relay in relay_addr; create a secret for the hub with: openssl rand -hex 32.`,
    ]);
  return secret;
}

/**
 * The identity of the hub with its database. A database that does not exist is created.
 *
 * @param idOf default: the id of the database, which is created if there is none
 * @throws ConfigError, DatabaseError
 */
export async function loadHubIdentity(
  config: PeerConfig,
  idOf: (database: History['database']) => string = ensureDatabaseId,
): Promise<HubIdentity> {
  const secret = await loadHubSecret(config);
  const { database } = openHistory(config);
  try {
    const databaseId = idOf(database);
    return { databaseId, identity: await hubIdentity(secret, config.userId, databaseId) };
  } finally {
    database.close();
  }
}
