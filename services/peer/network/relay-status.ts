// The meanings of the statuses of a circuit relay. The library reports a status only in the text of an error. Only this
// file parses the text of an error; `relay-status.test.ts` checks it against the library.
import type { Stage } from './dial-report.ts';

export interface RelayRefusal {
  readonly stage: Stage;
  readonly reason: string;
  /** Whether the same request would be refused again if it was repeated at once. */
  readonly isFinal: boolean;
}

/** Statuses of circuit-relay-v2 (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#status-codes). */
const REFUSALS: Readonly<Record<string, RelayRefusal>> = {
  NO_RESERVATION: {
    stage: 'reservation',
    reason: 'the peer holds no reservation on this relay; check that it is running and uses this relay',
    isFinal: true,
  },
  RESERVATION_REFUSED: { stage: 'reservation', reason: 'the relay refused the reservation', isFinal: true },
  RESOURCE_LIMIT_EXCEEDED: {
    stage: 'circuit',
    reason: 'the relay has reached one of its limits; try again later',
    isFinal: false,
  },
  PERMISSION_DENIED: { stage: 'circuit', reason: 'the relay denied the request', isFinal: true },
  CONNECTION_FAILED: {
    stage: 'circuit',
    reason: 'the relay could not reach the peer, which has probably just disconnected',
    isFinal: true,
  },
};

/** The texts of the library: "failed to connect via relay with status X" and "reservation failed with status X". */
const STATUS = /\bwith status ([A-Z_]+)/;

/** The refusal in the text of an error of the library; `undefined` when there is none. */
export function findRelayRefusal(text: string): RelayRefusal | undefined {
  return REFUSALS[STATUS.exec(text)?.[1] ?? ''];
}
