// Log lines about refusals, so that an operator sees within a minute whom the relay refuses, and which setting to raise.
import { createLimitedLog } from '../shared/limited-log.ts';
import type { Logger } from '../shared/log.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';
import { MUXER_VIOLATIONS, type MuxerViolation } from '../wire/muxer/violations.ts';
import {
  CIRCUIT_REFUSALS,
  CONNECTION_REFUSALS,
  HANDSHAKE_OUTCOMES,
  type Outcome,
  RESERVATION_REFUSALS,
} from './outcomes.ts';

/** Maximum lines per minute for each reason. */
const LINES_PER_MINUTE = 6;

const REFUSALS = {
  connection: CONNECTION_REFUSALS,
  reservation: RESERVATION_REFUSALS,
  circuit: CIRCUIT_REFUSALS,
} as const satisfies Record<string, Readonly<Record<string, Outcome>>>;
type Refusals = typeof REFUSALS;

/** Whom a request came from, as far as the relay knows. */
export interface RefusedRequest {
  readonly peer?: string;
  /** Address of the client. */
  readonly address: string;
  /** Of a circuit. */
  readonly target?: string;
}

/**
 * Full relays refuse new peers because one address holds most of what there is, unless they know the addresses. The lines
 * about these reasons say so.
 */
const SHARED_REASONS: ReadonlySet<string> = new Set([
  'reservation reservations',
  'circuit circuits',
  'connection all',
]);
const ADDRESSES_ADVICE =
  'Set RELAY_ADDRESSES_ARE_REAL=true if the relay sees the addresses of the devices and not of a load balancer. Then a full relay evicts the newest of the address that has the most for an address that has none.';

export interface RefusalLogOptions {
  /** Whether source addresses are those of the devices. */
  readonly areAddressesReal: boolean;
  /** Monotonic clock. */
  readonly nowMs?: () => number;
}

export interface RefusalLog {
  /** Writes one line, at most once per minute for each reason and peer or, where no peer is known, address. */
  refused<Kind extends keyof Refusals>(
    kind: Kind,
    reason: keyof Refusals[Kind] & string,
    request: RefusedRequest,
  ): void;
  /**
   * A connection did not prove the swarm key. Another key is logged as one kind: a device with another key sends an invalid
   * greeting or closes the connection. One that sent nothing, as health checks of TCP and port scans, is not logged.
   */
  unauthenticated(outcome: ProtectionOutcome, address: string): void;
  /** The muxer of a connection has closed it because of what its peer sent. */
  violated(reason: MuxerViolation, request: RefusedRequest): void;
}

export function createRefusalLog(log: Logger, { areAddressesReal, nowMs }: RefusalLogOptions): RefusalLog {
  const limitedLog = createLimitedLog<string>({
    log,
    perMinute: LINES_PER_MINUTE,
    ...(nowMs === undefined ? {} : { nowMs }),
  });
  return {
    refused(kind, reason, request) {
      const outcomes: Readonly<Record<string, Outcome>> = REFUSALS[kind];
      const setting = outcomes[reason]?.setting;
      const topic = `${kind} ${reason}`;
      const fields = {
        reason,
        ...request,
        ...(setting === undefined ? {} : { setting }),
        ...(!areAddressesReal && SHARED_REASONS.has(topic) ? { advice: ADDRESSES_ADVICE } : {}),
      };
      limitedLog(topic, fields, `${kind} refused`, request.peer ?? hostOf(request.address));
    },
    unauthenticated(outcome, address) {
      if (outcome === 'ok' || outcome === 'no_nonce') return;
      const isOtherKey = outcome === 'wrong_key' || outcome === 'no_greeting';
      const { setting }: Outcome = HANDSHAKE_OUTCOMES[outcome];
      const fields = { reason: outcome, address, ...(setting === undefined ? {} : { setting }) };
      const message = isOtherKey ? 'connection with another swarm key' : 'connection without the swarm key';
      limitedLog(isOtherKey ? 'swarm key' : outcome, fields, message, hostOf(address));
    },
    violated(reason, { peer, address }) {
      const fields = { reason, peer, address, meaning: MUXER_VIOLATIONS[reason].doc };
      limitedLog(`muxer ${reason}`, fields, 'connection closed by its muxer', peer ?? hostOf(address));
    },
  };
}

/** The host of a multiaddr, because the port of a client is another one at each try. */
function hostOf(address: string): string {
  return address.split('/', 3).join('/');
}
