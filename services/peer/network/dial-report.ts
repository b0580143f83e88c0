// What became of an attempt to connect, in words: how far it got and why it ended. The library tells the steps by
// progress events and the reasons by nested errors of many kinds.
import { describeError } from '../../shared/errors.ts';
import { SwarmKeyMismatchError } from '../../private-network/psk.ts';

/** How far an attempt got: the step that failed. */
export type Stage = 'tcp' | 'swarm key' | 'noise' | 'muxer' | 'reservation' | 'circuit' | 'protocol';

/** An attempt that failed. */
export interface DialAttempt {
  readonly address: string;
  readonly stage: Stage;
  readonly reason: string;
}

/** Our own event: the library tells when it begins to connect, but not when the swarm key's turn comes. */
export const PROTECT_EVENT = 'upgrader:protect-outbound-connection';

const STAGES: Readonly<Record<string, Stage>> = {
  'tcp:open-connection': 'tcp',
  [PROTECT_EVENT]: 'swarm key',
  'upgrader:encrypt-outbound-connection': 'noise',
  'upgrader:multiplex-outbound-connection': 'muxer',
  'circuit-relay:open-hop-stream': 'circuit',
  'circuit-relay:write-connect-message': 'circuit',
  'circuit-relay:read-connect-response': 'circuit',
};

/** What a relay's status means to the user (circuit-relay-v2, «Status codes»). */
const RELAY_ANSWERS: ReadonlyArray<readonly [status: string, stage: Stage, meaning: string]> = [
  [
    'NO_RESERVATION',
    'reservation',
    'the peer holds no reservation on this relay; is it running, and does it use this relay?',
  ],
  ['RESERVATION_REFUSED', 'reservation', 'the relay refused the reservation'],
  ['RESOURCE_LIMIT_EXCEEDED', 'circuit', 'the relay has reached one of its limits; try again later'],
  ['PERMISSION_DENIED', 'circuit', 'the relay does not allow it'],
  ['CONNECTION_FAILED', 'circuit', 'the relay could not reach the peer; it has most likely just gone'],
];

/** A listener for the library's progress events that tells each step as it begins. */
export function followStages(onStage: (stage: Stage) => void): (event: { readonly type: string }) => void {
  return ({ type }) => {
    const stage = STAGES[type];
    if (stage !== undefined) onStage(stage);
  };
}

/** Puts a failure into words. `timeoutMs` is given when the attempt's deadline had passed. */
export function explainFailure(
  address: string,
  stage: Stage,
  error: unknown,
  timeoutMs: number | undefined,
): DialAttempt {
  const text = describeAll(error);
  const answer = RELAY_ANSWERS.find(([status]) => text.includes(status));
  if (answer !== undefined) return { address, stage: answer[1], reason: answer[2] };
  if (isAboutSwarmKey(text)) return { address, stage: 'swarm key', reason: text };
  if (timeoutMs !== undefined) return { address, stage, reason: `no answer within ${timeoutMs} ms` };
  return { address, stage, reason: text };
}

/** The attempts as lines, the same one only once. */
export function formatAttempts(attempts: readonly DialAttempt[]): string[] {
  const times = new Map<string, number>();
  for (const { address, stage, reason } of attempts) {
    // The end of the address is the peer, which the line stands under.
    const line = `${address.replace(/(?<=.)\/p2p\/[^/]+$/, '')}: ${stage}: ${reason}`;
    times.set(line, (times.get(line) ?? 0) + 1);
  }
  return [...times].map(([line, count]) => (count === 1 ? line : `${line} (${count} times)`));
}

// The library keeps only the message of what went wrong below it.
function isAboutSwarmKey(text: string): boolean {
  return [new SwarmKeyMismatchError().message, 'another swarm key', 'sent no nonce'].some((part) =>
    text.includes(part),
  );
}

/** A dial of several addresses ends in an AggregateError, whose own message says nothing. */
function describeAll(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'errors' in error && Array.isArray(error.errors))
    return error.errors.map((each) => describeError(each)).join('; ');
  return describeError(error);
}
