// The identity of the hub in this configuration, for the commands about it. It follows from the database, which is opened
// for it.
import type { PrivateKey } from '@libp2p/interface';
import { ConfigError } from '../../shared/errors.ts';
import type { PeerConfig } from '../config/config.ts';
import { ensureDatabaseId } from '../history/database-id.ts';
import { hubIdentity, isSeedOf, readHubSecret } from '../hub/identity.ts';
import { type History, openHistory } from './context.ts';

/** What the hub is with its present database. */
export interface HubIdentity {
  readonly databaseId: string;
  readonly identity: PrivateKey;
}

/** The secret of the hub. @throws ConfigError when it cannot be read, or is the seed of a relay */
export async function loadHubSecret(config: PeerConfig): Promise<Uint8Array> {
  const secret = readHubSecret(config.hub.secretPath ?? '');
  await rejectSeed(secret, config, { relays: config.relays, setting: 'relay_addr' });
  return secret;
}

/** @throws ConfigError when the secret is the seed of one of these relays, whose addresses have peer ids */
export async function rejectSeed(
  secret: Uint8Array,
  { hub }: PeerConfig,
  { relays, setting }: { readonly relays: readonly string[]; readonly setting: string },
): Promise<void> {
  if (await isSeedOf(secret, relays))
    throw new ConfigError([
      `hub_secret_path: ${hub.secretPath} has the seed of a relay in ${setting}; create a secret for the hub with: openssl rand -hex 32.`,
    ]);
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
