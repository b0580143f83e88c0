// The check of `doctor` for the hub: whether one is registered for this user, whether this device reaches it, when they were
// last synced, and what of this device the hub does not have yet.
import { unixSeconds } from '../../shared/clock.ts';
import { describeError } from '../../shared/errors.ts';
import { type PeerConfig, PROGRAM } from '../config/config.ts';
import { discover } from '../discovery/discovery.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';
import type { SyncRecord } from '../history/push-store.ts';
import { DIAL_TIMEOUT_MS, DialFailedError, type Dialer } from '../network/dial.ts';
import { formatAttempts } from '../network/dial-report.ts';
import { releaseConnection } from '../sync/connection.ts';
import { createTrackers, type History, openHistory } from './context.ts';
import type { Finding } from './finding.ts';
import { formatAge, formatAmount } from './screen.ts';

/** Age of a sync with the hub in seconds above which it is a warning: one day. */
const STALE_SECONDS = 86_400;

/** Time in seconds for which a hub that is no longer registered is reported: one week. */
const REMEMBERED_SECONDS = 7 * 86_400;

/** Maximum hubs that are checked. One user needs one. */
const MAX_HUBS = 4;

export interface HubCheckOptions {
  readonly signal: AbortSignal;
  readonly ownPeerId: string | undefined;
  /** Connects as a sync does; `undefined` without the keys for it. */
  readonly dialer: Dialer | undefined;
}

/** Without a tracker that answers there are no findings, because the check of the trackers has reported it. */
export async function checkHub(config: PeerConfig, options: HubCheckOptions): Promise<Finding[]> {
  const history = openHistory(config);
  try {
    const hubs = await findHubs(config, history, options);
    if (hubs === undefined) return [];
    const records = history.pushes.records();
    if (hubs.length === 0) return [describeAbsence(config, records)];
    const findings: Finding[] = [];
    for (const hub of hubs.slice(0, MAX_HUBS)) {
      const record = records.get(hub.peerId);
      findings.push(await reach(hub, options), ...describeState(hub, config, { history, record }));
    }
    return findings;
  } finally {
    history.database.close();
  }
}

/** The hubs that trackers list; `undefined` when no tracker answered. */
async function findHubs(
  config: PeerConfig,
  { peerBook }: History,
  { signal, ownPeerId = '' }: HubCheckOptions,
): Promise<KnownPeer[] | undefined> {
  const trackers = createTrackers(config);
  const { userId } = config;
  const deps = { trackers, peerBook, userId, ownPeerId, nowUnixSeconds: unixSeconds };
  const { peers, problems } = await discover(deps, signal);
  return problems.length >= trackers.length ? undefined : peers.filter(({ isHub }) => isHub === true);
}

function describeAbsence({ userId }: PeerConfig, records: ReadonlyMap<string, SyncRecord>): Finding {
  const [latest] = [...records.values()].toSorted(
    (a, b) => (b.hubUnixSeconds ?? 0) - (a.hubUnixSeconds ?? 0),
  );
  const ageSeconds = unixSeconds() - (latest?.hubUnixSeconds ?? 0);
  if (latest === undefined || ageSeconds > REMEMBERED_SECONDS)
    return {
      subject: 'hub',
      state: 'ok',
      detail: `No hub is registered for user ${userId}, so that devices sync only while they are on at the same time.`,
    };
  return {
    subject: 'hub',
    state: 'warning',
    detail: `The hub ${latest.peerId} is not registered. It was listed ${formatAge(ageSeconds)} ago.`,
    advice:
      'Look at the log and at /readyz of the hub. Until it is back, devices sync only while they are on at the same time. After a restore it has another peer id.',
  };
}

async function reach(hub: KnownPeer, { dialer, signal }: HubCheckOptions): Promise<Finding> {
  const name = nameOf(hub);
  if (dialer === undefined)
    return { subject: 'hub', state: 'ok', detail: `${name} is registered, seen ${seenOf(hub)} ago.` };
  if (!dialer.canDial(hub))
    return {
      subject: 'hub',
      state: 'failed',
      detail: `${name} is registered, but lists no address to which this device can connect.`,
      advice: 'Set relay_addr to a relay of the hub, or give the hub a public address in announce_addrs.',
    };
  try {
    const dialed = await dialer.connect(hub, DIAL_TIMEOUT_MS, signal);
    const { address } = dialed;
    await releaseConnection({ dialed });
    return { subject: 'hub', state: 'ok', detail: `${name} is registered and reached at ${address}.` };
  } catch (error) {
    const attempts = error instanceof DialFailedError ? formatAttempts(error.attempts) : [];
    return {
      subject: 'hub',
      state: 'failed',
      detail: `${name} is registered, seen ${seenOf(hub)} ago, but cannot be reached: ${[describeError(error), ...attempts].join('; ')}.`,
      advice:
        'Check the log of the hub for its reservation, and the relay. Other devices have the same problem if they use the same relay.',
    };
  }
}

interface HubState {
  readonly history: History;
  readonly record: SyncRecord | undefined;
}

/** When this device was last synced with the hub, and what the hub does not have. */
function describeState(
  { peerId }: KnownPeer,
  { userId, deviceId, allowedPeers, file }: PeerConfig,
  { history, record }: HubState,
): Finding[] {
  if (allowedPeers?.has(peerId) === false)
    return [
      {
        subject: 'hub',
        state: 'warning',
        detail: 'The hub is not in allowed_peers, so that it gets nothing from this device.',
        advice: `Add ${peerId} to allowed_peers in ${file.path}.`,
      },
    ];
  const position = history.pushes.position(peerId);
  const missing = history.pushes.backlog({ userId, deviceId }, position);
  return [
    describeLastSync(record, history.store.cursorsOf(peerId).cursor > 0),
    ...describeMissing(missing, record),
  ];
}

function describeLastSync(record: SyncRecord | undefined, hasCursor: boolean): Finding {
  const subject = 'hub';
  const pulledUnixSeconds = record?.pulledUnixSeconds;
  if (pulledUnixSeconds === undefined)
    return hasCursor
      ? { subject, state: 'ok', detail: 'This device has the entries of the hub, from a sync by rr.' }
      : {
          subject,
          state: 'warning',
          detail: 'This device has never been synced with the hub.',
          advice: `Run "${PROGRAM.name} sync --push".`,
        };
  const ageSeconds = unixSeconds() - pulledUnixSeconds;
  const detail = `This device was last synced with the hub ${formatAge(ageSeconds)} ago.`;
  if (ageSeconds <= STALE_SECONDS) return { subject, state: 'ok', detail };
  return {
    subject,
    state: 'warning',
    detail,
    advice: `Keep "${PROGRAM.name} daemon --push" or "rr daemon" running on this device.`,
  };
}

function describeMissing(
  { entries, deletions }: ReturnType<History['pushes']['backlog']>,
  record: SyncRecord | undefined,
): Finding[] {
  if (entries + deletions === 0)
    return [{ subject: 'hub', state: 'ok', detail: 'The hub has everything that was made on this device.' }];
  const amounts = [
    ...(entries > 0 ? [formatAmount(entries, 'entry', 'entries')] : []),
    ...(deletions > 0 ? [formatAmount(deletions, 'deletion', 'deletions')] : []),
  ].join(' and ');
  const detail = `The hub does not have ${amounts} of this device yet.`;
  const problem = record?.pushProblem;
  if (problem !== undefined)
    return [{ subject: 'hub', state: 'warning', detail: `${detail} The last push failed: ${problem}` }];
  return [
    {
      subject: 'hub',
      state: 'warning',
      detail,
      advice: `Run "${PROGRAM.name} sync --push", or keep "${PROGRAM.name} daemon --push" or "rr daemon" running. A sync without --push sends nothing, and "serve" only what the hub comes to get.`,
    },
  ];
}

function nameOf({ peerId, deviceId }: KnownPeer): string {
  return `The hub ${deviceId === undefined ? '' : `"${deviceId}" `}${peerId}`;
}

function seenOf({ lastSeenUnixSeconds }: KnownPeer): string {
  return formatAge(unixSeconds() - lastSeenUnixSeconds);
}
