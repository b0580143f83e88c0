// The checks of `doctor` for trackers: whether they answer, and whether `rr` can use them from here.
import { monotonicMs } from '../../shared/clock.ts';
import { mayReceiveToken } from '../../shared/loopback.ts';
import type { PeerConfig } from '../config/config.ts';
import type { TrackerClient } from '../discovery/tracker-client.ts';
import {
  type ConnectionMeasurement,
  findRedirect,
  measureConnection,
  RR_CONNECT_LIMITS_MS,
} from '../discovery/tracker-probe.ts';
import { createTrackers } from './context.ts';
import { type Finding, sentencesOf } from './finding.ts';
import { formatAmount } from './screen.ts';

export async function checkTrackers(config: PeerConfig, signal: AbortSignal): Promise<Finding[]> {
  const trackers = createTrackers(config);
  if (trackers.length === 0)
    return [
      {
        subject: 'trackers',
        state: 'warning',
        detail: 'No tracker is configured.',
        advice: `Set trackers in ${config.file.path}.`,
      },
    ];
  const found = await Promise.all(trackers.map(async (tracker) => checkTracker(tracker, config, signal)));
  return found.flat();
}

async function checkTracker(
  tracker: TrackerClient,
  config: PeerConfig,
  signal: AbortSignal,
): Promise<Finding[]> {
  const listing = await checkListing(tracker, config, signal);
  const token = await checkToken(tracker.url, config, signal);
  return [listing, ...token, ...(await checkConnection(tracker.url, signal))];
}

async function checkListing(
  tracker: TrackerClient,
  { userId }: PeerConfig,
  signal: AbortSignal,
): Promise<Finding> {
  const startMs = monotonicMs();
  try {
    const { peers, skipped } = await tracker.list(userId, signal);
    const detail = `${tracker.url} answered in ${Math.round(monotonicMs() - startMs)} ms and lists ${formatAmount(peers.length, 'device', 'devices')} of this user.`;
    if (skipped === 0) return { subject: 'tracker', state: 'ok', detail };
    const skips = `${formatAmount(skipped, 'entry', 'entries')} of its list ${skipped === 1 ? 'is' : 'are'} not valid.`;
    return { subject: 'tracker', state: 'warning', detail: `${detail} ${skips}` };
  } catch (error) {
    return { subject: 'tracker', state: 'failed', detail: sentencesOf(error) };
  }
}

/** A token in clear text, and the redirect that a request with the token would have found. */
async function checkToken(
  url: string,
  { trackerToken, trackerTokenOverHttp }: PeerConfig,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (trackerToken === undefined || mayReceiveToken(new URL(url))) return [];
  if (trackerTokenOverHttp)
    return [
      {
        subject: 'tracker',
        state: 'warning',
        detail: `${url} gets the token in clear text, because tracker_token_over_http is true.`,
        advice: 'rr sends no request with a token there. Give your devices an https URL of the tracker.',
      },
    ];
  const redirect = await findRedirect(url, signal);
  return redirect === undefined ? [] : [{ subject: 'tracker', state: 'failed', detail: redirect }];
}

async function checkConnection(url: string, signal: AbortSignal): Promise<Finding[]> {
  try {
    return describeConnection(url, await measureConnection(url, { nowMs: monotonicMs, signal }));
  } catch {
    // Without a connection the check of the listing failed, and says why.
    return [];
  }
}

/** What a measured connection means for rr 1.x. */
export function describeConnection(
  url: string,
  { tcpMs, tlsMs, untrusted }: ConnectionMeasurement,
): Finding[] {
  const totalMs = Math.ceil(tcpMs + (tlsMs ?? 0));
  const parts = [
    `TCP in ${Math.ceil(tcpMs)} ms`,
    ...(tlsMs === undefined ? [] : [`TLS in ${Math.ceil(tlsMs)} ms`]),
  ];
  const detail = `A new connection to ${url} took ${parts.join(' and ')}.`;
  const [first, , last] = RR_CONNECT_LIMITS_MS;
  const advice =
    totalMs > last
      ? `rr 1.x allows ${RR_CONNECT_LIMITS_MS.join(', ')} ms in its three tries, and does not reach this tracker. Use a tracker that is nearer, and a certificate with an ECDSA key and a short chain.`
      : `rr 1.x allows ${first} ms at its first try, and needs a second or third one for each request. A certificate with an ECDSA key and a short chain is faster.`;
  const connection: Finding =
    totalMs <= first
      ? { subject: 'connection', state: 'ok', detail }
      : { subject: 'connection', state: 'warning', detail, advice };
  if (untrusted === undefined) return [connection];
  const trust: Finding = {
    subject: 'certificate',
    state: 'warning',
    detail: `rr rejects the certificate of ${url}: ${untrusted.replace(/\.$/, '')}.`,
    advice:
      'rr has the public certificate authorities built in and accepts no others. Use a certificate of one of them for the host in the URL.',
  };
  return [connection, trust];
}
