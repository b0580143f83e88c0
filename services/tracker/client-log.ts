// Info lines about mistakes of clients, limited per kind: an operator finds each mistake within a minute, and neither a
// port scan nor a device that repeats its mistake fills the log. No line contains a token or a body.
import type { BrokenRequest } from '../shared/broken-requests.ts';
import type { HttpServerEvents } from '../shared/http-server.ts';
import { createLimitedLog, type LimitedLogOptions } from '../shared/limited-log.ts';
import { type AddressDrop, type Dropped, type MetaDrop, NOTHING_DROPPED } from './drops.ts';
import type { ProblemCode } from './problems.ts';
import type { Conflict } from './registry/claims.ts';

/** Maximum lines per minute of each kind, one for each device. */
const LINES_PER_MINUTE = 10;

/** Maximum lines per minute of each kind that port scans, or harmless habits of many devices, cause. */
const RARE_LINES_PER_MINUTE = 1;

/** The client of a request, as far as it is known. */
export interface LoggedClient {
  readonly address: string | undefined;
  /** `X-Forwarded-For` of a proxy that is not trusted: a hint only, because any client can send it. */
  readonly forwardedFor?: string | undefined;
  readonly peerId?: string | undefined;
  readonly userId?: string | null | undefined;
}

/** A refused request. */
export interface RefusedRequest extends LoggedClient {
  readonly method: string;
  readonly path: string;
  /** Whether the path is one of the API. Other paths are those of port scans, or of a wrong base URL. */
  readonly isApiPath: boolean;
  /** Whether the request has a token. */
  readonly hasToken: boolean;
  /** What the response does not say, such as the kind of a missing permission. */
  readonly cause?: string | undefined;
  readonly detail?: string | undefined;
}

export interface ClientLog extends Required<HttpServerEvents> {
  refused(code: ProblemCode, request: RefusedRequest): void;
  /**
   * What a registration contained and its record does not contain.
   *
   * @param clientOf is called only when something was dropped
   */
  dropped(clientOf: () => LoggedClient, addrs: Dropped<AddressDrop>, meta: Dropped<MetaDrop>): void;
  /** A registration showed that two devices use one identity. */
  conflict(client: LoggedClient, conflict: Conflict): void;
  /** Devices that a listing leaves out because of its size. */
  listingCut(userId: string | undefined, omittedPeers: number): void;
}

/** The tracker causes these itself, and other lines report them. */
const OWN_FAULTS: ReadonlySet<ProblemCode> = new Set(['internal', 'overloaded', 'registry_unavailable']);

/** Many devices of `rr` 0.1 send such addresses with every registration, which harms nobody. */
const HARMLESS_DROPS: ReadonlySet<AddressDrop> = new Set(['unreachable', 'over_limit', 'private']);

/** Lines about connections. Other problems are those of port scans, and share one kind. */
const BROKEN_MESSAGES: Partial<Record<BrokenRequest, string>> = {
  too_many_connections: 'connection refused',
  connection_replaced: 'the maximum of connections is open, longest idle one closed',
  pipelined: 'connection with too many requests at once closed',
  proxy_header:
    'header of the PROXY protocol, which TRACKER_PROXY_PROTOCOL and TRACKER_TRUSTED_PROXIES do not permit from this address',
};

export function createClientLog({ log, nowMs }: Pick<LimitedLogOptions, 'log' | 'nowMs'>): ClientLog {
  const clock = nowMs === undefined ? {} : { nowMs };
  const write = createLimitedLog<string>({ log, perMinute: LINES_PER_MINUTE, ...clock });
  const writeRarely = createLimitedLog<string>({ log, perMinute: RARE_LINES_PER_MINUTE, ...clock });
  return {
    onBroken(problem, address) {
      const message = BROKEN_MESSAGES[problem];
      const kind = message === undefined ? 'unrecognized' : problem;
      writeRarely(kind, { address, reason: problem }, message ?? 'not a request of this API');
    },
    refused(code, request) {
      const { isApiPath, hasToken, ...fields } = request;
      if (OWN_FAULTS.has(code)) return;
      if (!isApiPath) {
        // A browser always sends its first request for the status page without a token.
        const isChallenge = code === 'unauthorized' && request.path === '/' && !hasToken;
        if (!isChallenge || request.method !== 'GET')
          writeRarely('unrecognized', { ...fields, reason: code }, 'not a request of this API');
        return;
      }
      const tokenCause = hasToken ? 'wrong_token' : 'no_token';
      const cause = code === 'unauthorized' ? tokenCause : request.cause;
      write(
        `${code} ${cause ?? ''}`,
        { ...fields, reason: code, cause },
        'request refused',
        subjectOf(request),
      );
    },
    dropped(clientOf, addrs, meta) {
      if (addrs === NOTHING_DROPPED && meta === NOTHING_DROPPED) return;
      const client = clientOf();
      for (const [reason, count] of Object.entries(addrs)) {
        const writeDrop = HARMLESS_DROPS.has(reason as AddressDrop) ? writeRarely : write;
        writeDrop(`address ${reason}`, { ...client, reason, count }, 'addresses dropped', subjectOf(client));
      }
      for (const [reason, count] of Object.entries(meta))
        write(`meta ${reason}`, { ...client, reason, count }, 'fields of meta dropped', subjectOf(client));
    },
    conflict(client, { kind, subject, claimants }) {
      const message =
        kind === 'peer_id'
          ? 'two devices have one device id and never sync with each other'
          : 'one identity key is used on two devices';
      write(`conflict ${kind}`, { ...client, differsIn: kind, subject, claimants }, message, subject);
    },
    listingCut(userId, omittedPeers) {
      write('listing', { userId, omittedPeers }, 'listing too long, longest unseen left out', userId ?? '');
    },
  };
}

/** The device that a line is about, so that it does not hide other devices. */
function subjectOf({ peerId, address, forwardedFor }: LoggedClient): string {
  return peerId ?? `${address ?? ''} ${forwardedFor ?? ''}`;
}
