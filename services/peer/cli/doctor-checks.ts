// The checks of `doctor`: each looks at one thing a device needs and answers in words, with what to do about it.
import { statSync } from 'node:fs';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { describeError } from '../../shared/errors.ts';
import { readIdentity } from '../../private-network/identity.ts';
import type { Config } from '../config/config.ts';
import { DatabaseError } from '../history/database.ts';
import { openRelay } from '../network/dial.ts';
import { explainFailure, followStages, type Stage } from '../network/dial-report.ts';
import { clock, createTrackers, loadSwarmKey, openHistory } from './context.ts';
import type { PeerNode } from '../network/node.ts';
import { formatAmount } from './screen.ts';

/** How long a relay may take, in milliseconds. */
const RELAY_TIMEOUT_MS = 6_000;

/** The circuit-relay-v2 protocol that a relay answers on. */
const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';

/** What was found out about one thing. */
export interface Finding {
  readonly subject: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly detail: string;
  readonly advice?: string;
}

export function checkConfig({ path, fileExists, warnings }: Config): Finding[] {
  const file: Finding = fileExists
    ? { subject: 'config', state: 'ok', detail: path }
    : {
        subject: 'config',
        state: 'warning',
        detail: `${path} is not there`,
        advice: 'make it with: rustory-peer init',
      };
  return [file, ...warnings.map((detail): Finding => ({ subject: 'config', state: 'warning', detail }))];
}

export function checkSwarmKey(config: Config): Finding {
  const path = config.settings.swarmKeyPath;
  try {
    const { fingerprint } = loadSwarmKey(config);
    return checkMode('swarm key', path, `fingerprint ${fingerprint}, ${path}`);
  } catch (error) {
    return { subject: 'swarm key', state: 'failed', detail: describeError(error) };
  }
}

/** Looks at the identity without making one. */
export function checkIdentity({ settings: { p2pIdentityKeyPath: path } }: Config): Finding {
  try {
    return checkMode('identity', path, `${peerIdFromPrivateKey(readIdentity(path)).toString()}, ${path}`);
  } catch (error) {
    if (describeError(error).includes('ENOENT'))
      return {
        subject: 'identity',
        state: 'warning',
        detail: `${path} is not there`,
        advice: 'the first serve or sync makes it',
      };
    return { subject: 'identity', state: 'failed', detail: `p2p_identity_key_path ${describeError(error)}` };
  }
}

/** Opens the database (and so makes it), counts, and has SQLite look for damage. */
export function checkDatabase(config: Config): Finding {
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
        detail: `${database.path} is damaged: ${String(result)}`,
        advice: 'restore a copy, or set db_path to a new file and sync again from another device',
      };
    } finally {
      database.close();
    }
  } catch (error) {
    const advice = error instanceof DatabaseError ? error.advice : undefined;
    return { subject: 'database', state: 'failed', detail: describeError(error), ...(advice && { advice }) };
  }
}

export async function checkTrackers(config: Config, signal: AbortSignal): Promise<Finding[]> {
  const trackers = createTrackers(config);
  if (trackers.length === 0)
    return [
      { subject: 'trackers', state: 'warning', detail: 'none', advice: `set trackers in ${config.path}` },
    ];
  return Promise.all(
    trackers.map(async (tracker): Promise<Finding> => {
      const startedAt = clock();
      try {
        const { length } = await tracker.list(config.settings.userId, signal);
        const detail = `${tracker.url} answered in ${Math.round(clock() - startedAt)} ms, lists ${formatAmount(length, 'device', 'devices')} of this user`;
        return { subject: 'tracker', state: 'ok', detail };
      } catch (error) {
        return { subject: 'tracker', state: 'failed', detail: describeError(error) };
      }
    }),
  );
}

/** Connects to each relay as a sync would, and asks whether it relays. */
export async function checkRelays(
  config: Config,
  { libp2p }: PeerNode,
  fingerprint: string,
): Promise<Finding[]> {
  const { relayAddr: relays = [], dialStrategy } = config.settings;
  if (relays.length === 0) {
    const state = dialStrategy === 'relay-only' ? 'failed' : 'warning';
    return [{ subject: 'relays', state, detail: 'none', advice: `set relay_addr in ${config.path}` }];
  }
  const findings: Finding[] = [];
  for (const relay of relays) {
    const deadline = AbortSignal.timeout(RELAY_TIMEOUT_MS);
    let stage: Stage = 'tcp';
    try {
      const onProgress = followStages((reached) => void (stage = reached));
      const connection = await openRelay(libp2p, relay, { signal: deadline, onProgress });
      stage = 'protocol';
      const stream = await connection.newStream(HOP_PROTOCOL, { signal: deadline });
      stream.abort(new Error('only asked whether it is there'));
      const milliseconds = await libp2p.services.ping.ping(connection.remotePeer, { signal: deadline });
      findings.push({ subject: 'relay', state: 'ok', detail: `${relay}, round trip ${milliseconds} ms` });
    } catch (error) {
      const failed = explainFailure(relay, stage, error, deadline.aborted ? RELAY_TIMEOUT_MS : undefined);
      findings.push({
        subject: 'relay',
        state: 'failed',
        detail: `${relay}: ${failed.stage}: ${failed.reason}`,
        advice: adviceFor(failed.stage, fingerprint),
      });
    }
  }
  return findings;
}

function adviceFor(stage: Stage, fingerprint: string): string {
  if (stage === 'swarm key')
    return `the key here has the fingerprint ${fingerprint}; compare with a device that works: rustory-peer swarm-key`;
  if (stage === 'protocol') return 'it belongs to the grid, but is no relay: check the address';
  return 'check that the relay runs and that the address and its peer id are right';
}

/** Keys that others can read are worth a word, not a refusal: a mounted Secret may have no other mode. */
function checkMode(subject: string, path: string, detail: string): Finding {
  const others = statSync(path).mode & 0o077;
  if (others === 0) return { subject, state: 'ok', detail };
  return {
    subject,
    state: 'warning',
    detail: `${detail}; other users can read it`,
    advice: `chmod 600 ${path}`,
  };
}
