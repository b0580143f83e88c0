// The temporary devices of `network-test`: their files, their entries, and the relay that they use.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { unixSeconds } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { VERSION } from '../../shared/program.ts';
import { anySignal } from '../../shared/signals.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import type { PeerConfig } from '../config/config.ts';
import type { Entry } from '../history/entry.ts';
import type { Store } from '../history/store.ts';
import { peerIdOf } from '../network/addresses.ts';
import type { PeerNode } from '../network/node.ts';

/** Entries that are synced through each relay: some hundred kilobytes in total. */
const ENTRIES = 1_000;
const COMMAND_BYTES = 150;

/** Deadline for the first connection to a relay, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

export interface NetworkTestOptions {
  /** What all connections of the process share. */
  readonly io: WireIo;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Called after each successful step with its description. */
  readonly onStep: (step: string) => void;
}

/**
 * The configuration of a device with its own files in the configured network. Its user is a new one, so that no real
 * device pulls the entries of the test.
 */
export function deviceConfig(
  config: PeerConfig,
  userId: string,
  directory: string,
  name: string,
): PeerConfig {
  const path = join(directory, name);
  return {
    ...config,
    userId,
    deviceId: `${userId}-${name}`,
    databasePath: `${path}.db`,
    identityPath: `${path}.key`,
    dialStrategy: 'relay-only',
  };
}

export function makeEntries({ deviceId, userId }: PeerConfig): Entry[] {
  return Array.from({ length: ENTRIES }, (_, position) => ({
    entry_id: `${deviceId}-${position}`,
    device_id: deviceId,
    user_id: userId,
    ts: unixSeconds(),
    // Random, so that compression has little effect.
    cmd: `echo ${randomBytes(COMMAND_BYTES).toString('base64')}`,
    cwd: '/',
    exit_code: 0,
    duration_ms: position,
    shell: 'sh',
    hostname: deviceId,
    version: VERSION,
  }));
}

export function readAll(store: Store): Entry[] {
  const entries: Entry[] = [];
  store.readAfter(0, ENTRIES + 1, ({ entry }) => entries.push(entry) > 0);
  return entries;
}

/** The address of a relay with its peer id: the peer that answers at the address, if it has none. */
export async function withPeerId(
  { libp2p }: Pick<PeerNode, 'libp2p'>,
  relay: string,
  ...signals: readonly AbortSignal[]
): Promise<string> {
  if (peerIdOf(relay) !== undefined) return relay;
  const signal = anySignal(...signals, AbortSignal.timeout(CONNECT_TIMEOUT_MS));
  const connection = await libp2p.dial(multiaddr(relay), { signal });
  return `${relay}/p2p/${connection.remotePeer.toString()}`;
}
