// The checks of `doctor`. Each checks one thing that a sync depends on and returns its findings.
import { existsSync } from 'node:fs';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { unixSeconds } from '../../shared/clock.ts';
import { describeError } from '../../shared/errors.ts';
import { readIdentity } from '../../private-network/identity.ts';
import { type PeerConfig, PROGRAM } from '../config/config.ts';
import { multiaddr } from '@multiformats/multiaddr';
import { createDialProgress, explainFailure, type Stage } from '../network/dial-report.ts';
import type { PeerNode } from '../network/node.ts';
import { loadSwarmKey, openHistory } from './context.ts';
import { adviceOf } from './exit-codes.ts';
import { type Finding, sentencesOf } from './finding.ts';
import { checkKeyMode } from './doctor-modes.ts';
import { formatAmount } from './screen.ts';

/** Deadline for one relay, in milliseconds. */
const RELAY_TIMEOUT_MS = 6_000;

/** Maximum entries that cannot be sent of which the finding names the id and the reason. */
const MAX_EXAMPLES = 3;

/** Age of requests beyond what is stored that `doctor` reports, in seconds: one day. */
const HIGH_REQUEST_SECONDS = 86_400;

/** The circuit-relay-v2 protocol that every relay supports. */
const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';

export function checkConfig({ file: { path, exists }, warnings, allowedPeers, hub }: PeerConfig): Finding[] {
  // The configuration of a hub in a cluster is its environment.
  const isComplete = exists || hub.secretPath !== undefined;
  const file: Finding = isComplete
    ? { subject: 'config', state: 'ok', detail: exists ? path : `${path} does not exist, as in a cluster.` }
    : {
        subject: 'config',
        state: 'warning',
        detail: `${path} does not exist.`,
        advice: `Create it with ${PROGRAM.name} init.`,
      };
  const problems = warnings.map((detail): Finding => ({ subject: 'config', state: 'warning', detail }));
  if (allowedPeers === undefined) return [file, ...problems];
  const devices = formatAmount(allowedPeers.size, 'device', 'devices');
  return [
    file,
    ...problems,
    {
      subject: 'allowed_peers',
      state: 'ok',
      detail: `only ${devices} may pull from this one, none with rr 0.1, which has a new peer id at each sync`,
    },
  ];
}

export function checkSwarmKey(config: PeerConfig): Finding {
  try {
    const { fingerprint } = loadSwarmKey(config);
    return checkKeyMode('swarm key', config.swarmKeyPath, `fingerprint ${fingerprint}`);
  } catch (error) {
    return { subject: 'swarm key', state: 'failed', detail: sentencesOf(error) };
  }
}

/** Reads the identity, and does not create it. */
export function checkIdentity({ identityPath: path }: PeerConfig): Finding {
  if (!existsSync(path))
    return {
      subject: 'identity',
      state: 'warning',
      detail: `${path} does not exist.`,
      advice: 'The first serve or sync creates it.',
    };
  try {
    return checkKeyMode('identity', path, peerIdFromPrivateKey(readIdentity(path)).toString());
  } catch (error) {
    return {
      subject: 'identity',
      state: 'failed',
      detail: `p2p_identity_key_path: ${describeError(error)}.`,
    };
  }
}

/** Opens the database (a missing one is created), counts its entries and runs the integrity check of SQLite. */
export function checkDatabase(config: PeerConfig): Finding {
  try {
    const { database, store } = openHistory(config);
    try {
      const { entries, devices } = store.summary();
      const result = database.read(
        () => database.sqlite.prepare('PRAGMA quick_check(1)').get()?.['quick_check'],
      );
      const detail = `${formatAmount(entries, 'entry', 'entries')} of ${formatAmount(devices, 'device', 'devices')}, ${database.path}`;
      if (result === 'ok') return { subject: 'database', state: 'ok', detail };
      return {
        subject: 'database',
        state: 'failed',
        detail: `${database.path} is damaged: ${String(result)}.`,
        advice: 'Restore a copy, or set db_path to a new file and sync again from another device.',
      };
    } finally {
      database.close();
    }
  } catch (error) {
    const advice = adviceOf(error);
    return { subject: 'database', state: 'failed', detail: sentencesOf(error), ...(advice && { advice }) };
  }
}

/** Finds entries and deletions that no other device can get from this one. A database that cannot be opened has a finding of its own. */
export function checkEntries(config: PeerConfig): Finding[] {
  const { database, store } = openHistory(config);
  try {
    let count = 0;
    const examples: string[] = [];
    store.readUnsendable(({ seq, entryId, text }) => {
      count += 1;
      if (examples.length < MAX_EXAMPLES) examples.push(`${entryId ?? `number ${seq}`}: ${text}`);
      return true;
    });
    const findings: Finding[] = [];
    if (count > 0)
      findings.push({
        subject: 'entries',
        state: 'warning',
        detail: `${formatAmount(count, 'entry', 'entries')} cannot be sent to other devices. ${examples.join(' ')}`,
        advice: `Other entries are not affected. Delete those that you do not need with ${PROGRAM.name} delete ID.`,
      });
    return [...findings, ...describeDeletions(store.unsendableDeletions(), database.path)];
  } finally {
    database.close();
  }
}

/** Finds devices that pulled from this database what it never stored. */
export function checkHighRequests(config: PeerConfig): Finding[] {
  const { database, store } = openHistory(config);
  try {
    const requests = store
      .highRequestsSince(unixSeconds() - HIGH_REQUEST_SECONDS)
      .filter((request) => store.isNeverStored(request));
    if (requests.length === 0) return [];
    const names = requests.slice(0, MAX_EXAMPLES).map(({ peerId }) => peerId);
    const more = requests.length > MAX_EXAMPLES ? ` and ${requests.length - MAX_EXAMPLES} more` : '';
    return [
      {
        subject: 'database',
        state: 'warning',
        detail: `${formatAmount(requests.length, 'device has', 'devices have')} pulled more than this database ever stored: ${names.join(', ')}${more}.`,
        advice:
          config.hub.secretPath === undefined
            ? 'Either the database is an older copy or lost its last entries, or another device uses a copy of the identity key. What is stored from now on reaches all devices.'
            : `If an older copy of the database was put back, such as a snapshot of the volume, run "${PROGRAM.name} hub new-identity". Otherwise one of these devices sent a wrong number.`,
      },
    ];
  } finally {
    database.close();
  }
}

function describeDeletions(seqs: readonly number[], path: string): Finding[] {
  if (seqs.length === 0) return [];
  const shown = seqs.slice(0, MAX_EXAMPLES).join(', ');
  return [
    {
      subject: 'deletions',
      state: 'warning',
      detail: `${formatAmount(seqs.length, 'deletion', 'deletions')} cannot be sent to other devices, because the id of the entry is not valid: delete_seq ${shown}${seqs.length > MAX_EXAMPLES ? ' and others' : ''} in ${path}.`,
      advice:
        'Other deletions are not affected. No other device can have such an entry, so that nothing needs to be done.',
    },
  ];
}

/** Connects to each address of each relay, and checks that it relays. */
export async function checkRelays(
  { relays: configured, dialStrategy, file, hub }: PeerConfig,
  { libp2p, dial }: PeerNode,
  fingerprint: string,
): Promise<Finding[]> {
  const relays = [...configured, ...hub.internalRelays];
  if (relays.length === 0 && hub.announced.length > 0) return [];
  if (relays.length === 0)
    return [
      {
        subject: 'relays',
        state: dialStrategy === 'relay-only' ? 'failed' : 'warning',
        detail: 'No relay is configured.',
        advice: `Set relay_addr in ${file.path}.`,
      },
    ];
  const findings: Finding[] = [];
  for (const relay of relays) {
    const deadline = AbortSignal.timeout(RELAY_TIMEOUT_MS);
    const progress = createDialProgress();
    try {
      const { onProgress } = progress;
      // A new connection, because another address of the same relay proves nothing about this one.
      const connection = await dial(multiaddr(relay), { signal: deadline, onProgress });
      progress.stage = 'protocol';
      const stream = await connection.newStream(HOP_PROTOCOL, { signal: deadline });
      stream.abort(new Error('Only the protocol was checked.'));
      const roundTripMs = await libp2p.services.ping.ping(connection.remotePeer, { signal: deadline });
      connection.abort(new Error('The address was checked.'));
      findings.push({ subject: 'relay', state: 'ok', detail: `${relay}, round trip ${roundTripMs} ms` });
    } catch (error) {
      const failed = explainFailure(relay, progress, error, deadline.aborted ? RELAY_TIMEOUT_MS : undefined);
      findings.push({
        subject: 'relay',
        state: 'failed',
        detail: `${relay}: ${failed.stage}: ${failed.reason}.`,
        advice: adviceFor(failed.stage, fingerprint),
      });
    }
  }
  return findings;
}

function adviceFor(stage: Stage, fingerprint: string): string {
  if (stage === 'swarm key')
    return `The swarm key of this device has the fingerprint ${fingerprint}. Compare it with that of a device that works: ${PROGRAM.name} swarm-key.`;
  if (stage === 'protocol')
    return 'The address belongs to the network, but not to a relay. Check the address.';
  return 'Check that the relay is running and that the address and its peer id are right.';
}
