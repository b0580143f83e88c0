// The identity of the relay and the announced addresses that depend on it, with the checks across several variables.
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import { isGiven } from '../shared/env.ts';
import { describeError } from '../shared/errors.ts';
import { identityFromSeed, readOrCreateIdentity } from '../private-network/identity.ts';
import {
  announcedBytes,
  expandAnnounced,
  MAX_ANNOUNCED_BYTES,
  namesOtherPeer,
  ordinalOf,
} from './announce.ts';
import type { RelayValues } from './config.ts';

/** The variables of the identity. One that is set but invalid is in the environment and not in `values`. */
const IDENTITY_VARIABLES = [
  'RELAY_IDENTITY_KEY_FILE',
  'RELAY_IDENTITY_SEED_FILE',
  'RELAY_IDENTITY_ORDINAL',
] as const;

/** Reads the private key, or adds a problem and returns `undefined`. */
export async function readIdentity(
  values: Partial<RelayValues>,
  environment: NodeJS.ProcessEnv,
  problems: string[],
): Promise<PrivateKey | undefined> {
  const { RELAY_IDENTITY_KEY_FILE: keyFile, RELAY_IDENTITY_SEED_FILE: seed } = values;
  // Also when a value has a problem: all problems are reported at once.
  if (isGiven('RELAY_IDENTITY_KEY_FILE', environment) === isGiven('RELAY_IDENTITY_SEED_FILE', environment)) {
    problems.push(
      'RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE: set exactly one of them; devices lose a relay whose peer id changes.',
    );
    return undefined;
  }
  const isReported = IDENTITY_VARIABLES.some(
    (name) => isGiven(name, environment) && values[name] === undefined,
  );
  if (isReported) return undefined;
  try {
    if (keyFile !== undefined) return await readOrCreateIdentity(keyFile);
    const ordinal = values.RELAY_IDENTITY_ORDINAL ?? ordinalOf(values.RELAY_POD_NAME) ?? 0;
    return seed === undefined ? undefined : await identityFromSeed(seed, ordinal);
  } catch (error) {
    problems.push(`RELAY_IDENTITY_KEY_FILE: ${describeError(error)}.`);
    return undefined;
  }
}

/** Expands the templates of the announced addresses, and adds a problem for each that cannot be announced. */
export function readAnnounce(
  values: Partial<RelayValues>,
  identity: PrivateKey | undefined,
  problems: string[],
): Multiaddr[] {
  const placeholders = {
    ordinal: (values.RELAY_IDENTITY_ORDINAL ?? ordinalOf(values.RELAY_POD_NAME))?.toString(),
    podName: values.RELAY_POD_NAME,
    podIP: values.RELAY_POD_IP,
    hostIP: values.RELAY_HOST_IP,
  };
  const peerId = identity === undefined ? undefined : peerIdFromPrivateKey(identity).toString();
  const announced: Multiaddr[] = [];
  for (const template of values.RELAY_ANNOUNCE ?? []) {
    try {
      const address = expandAnnounced(template, placeholders);
      if (peerId !== undefined && namesOtherPeer(address, peerId))
        throw new Error(`${address.toString()} names another peer; the peer id of this relay is ${peerId}.`);
      announced.push(address);
    } catch (error) {
      problems.push(`RELAY_ANNOUNCE: ${describeError(error)}.`);
    }
  }
  const bytes = announcedBytes(announced);
  if (bytes > MAX_ANNOUNCED_BYTES)
    problems.push(
      `RELAY_ANNOUNCE: the addresses have ${bytes} bytes, but a reservation carries at most ${MAX_ANNOUNCED_BYTES}; announce fewer or shorter ones.`,
    );
  return announced;
}
