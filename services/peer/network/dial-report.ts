// Describes failed attempts to connect: the stage that failed, and the reason. The library reports the stages as
// progress events and the reasons as nested errors of many types.
import { UNSUPPORTED } from '../../wire/multistream.ts';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import { describeError, errorCode } from '../../shared/errors.ts';
import { findRelayRefusal } from './relay-status.ts';

/** The stages of an attempt to connect and sync, in order. `docs/peer.md` lists them. */
export const STAGES = ['tcp', 'swarm key', 'noise', 'muxer', 'reservation', 'circuit', 'protocol'] as const;
export type Stage = (typeof STAGES)[number];

/** A failed attempt to connect. */
export interface DialAttempt {
  readonly address: string;
  /** The stage that failed. */
  readonly stage: Stage;
  readonly reason: string;
}

/** A progress event of the library or of `library-internals.ts`. */
export interface ProgressEvent {
  readonly type: string;
  readonly detail?: unknown;
}

/** Events of `library-internals.ts`: the start of the swarm key protection of a connection, and its outcome. */
export const PROTECTION_START = 'rustory:protection-start';
export const PROTECTION_OUTCOME = 'rustory:protection-outcome';

/** The stage that starts with an event. */
const STAGE_OF_EVENT: Readonly<Record<string, Stage>> = {
  'tcp:open-connection': 'tcp',
  [PROTECTION_START]: 'swarm key',
  'upgrader:encrypt-outbound-connection': 'noise',
  'upgrader:multiplex-outbound-connection': 'muxer',
  'circuit-relay:open-hop-stream': 'circuit',
  'circuit-relay:write-connect-message': 'circuit',
  'circuit-relay:read-connect-response': 'circuit',
};

const PROTECTION_FAILURES: Readonly<Record<Exclude<ProtectionOutcome, 'ok'>, string>> = {
  wrong_key: 'the other side has a different swarm key',
  no_greeting:
    'the other side closed the connection during the handshake, probably because its swarm key differs',
  no_nonce: 'the other side sent no nonce; it may not use a swarm key',
  early_bytes: 'the other side sent too many bytes during the handshake',
  no_swarm_key: 'the other side uses no swarm key',
  http: 'the other side is an HTTP server',
  tls: 'the other side expects TLS',
  proxy_protocol: 'the other side sent a header of the PROXY protocol',
  other_protocol: 'the other side speaks another protocol',
};

/** The progress of an attempt to connect. */
export interface DialProgress {
  stage: Stage;
  /** Outcome of the swarm key protection of the latest connection; `undefined` while it is not known. */
  protection: ProtectionOutcome | undefined;
  /** The listener for the library's progress events. */
  readonly onProgress: (event: ProgressEvent) => void;
}

export function createDialProgress(): DialProgress {
  const progress: DialProgress = {
    stage: 'tcp',
    protection: undefined,
    onProgress({ type, detail }) {
      if (type === PROTECTION_OUTCOME) progress.protection = detail as ProtectionOutcome;
      if (type === PROTECTION_START) progress.protection = undefined;
      progress.stage = STAGE_OF_EVENT[type] ?? progress.stage;
    },
  };
  return progress;
}

/**
 * Describes a failed attempt.
 *
 * @param timeoutMs the deadline of the attempt in milliseconds if it has passed, otherwise `undefined`.
 */
export function explainFailure(
  address: string,
  { stage, protection }: DialProgress,
  error: unknown,
  timeoutMs: number | undefined,
): DialAttempt {
  const text = describeAll(error);
  const refusal = findRelayRefusal(text);
  if (refusal !== undefined) return { address, stage: refusal.stage, reason: refusal.reason };
  if (protection === 'wrong_key')
    return { address, stage: 'swarm key', reason: PROTECTION_FAILURES[protection] };
  // At the deadline this device closes the connection, so other outcomes are no information about the peer.
  if (timeoutMs !== undefined) return { address, stage, reason: `no response within ${timeoutMs} ms` };
  if (protection !== undefined && protection !== 'ok')
    return { address, stage: 'swarm key', reason: PROTECTION_FAILURES[protection] };
  return { address, stage, reason: text };
}

/** Codes of errors that stay the same for some time: of the network, and of the library for a peer of another kind. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EINVAL',
  'ENOTFOUND',
  'TransportUnavailableError',
  'UnsupportedProtocolError',
]);

/**
 * Whether an attempt would fail in the same way if it was repeated at once. A limit of a relay, a connection that was
 * reset and a missing response may be over at the next try.
 */
export function isFinalFailure({ address, stage, reason }: DialAttempt, error: unknown): boolean {
  const refusal = findRelayRefusal(describeAll(error));
  if (refusal !== undefined) return refusal.isFinal;
  if (stage === 'swarm key') return reason === PROTECTION_FAILURES.wrong_key;
  // Another device has the address. In a circuit, the relay has connected to the right one.
  if (stage === 'noise' && !address.includes('/p2p-circuit')) return true;
  // The library keeps only the message of the error.
  if (stage === 'muxer') return reason.includes(UNSUPPORTED);
  // One of several addresses that may answer at the next try is enough.
  return listErrors(error).every((each) => FINAL_CODES.has(errorCode(each)));
}

/** Formats attempts as lines. Equal lines are merged and counted. */
export function formatAttempts(attempts: readonly DialAttempt[]): string[] {
  const counts = new Map<string, number>();
  for (const { address, stage, reason } of attempts) {
    // The peer id at the end is omitted, because the lines follow a line with the peer id.
    const line = `${address.replace(/(?<=.)\/p2p\/[^/]+$/, '')}: ${stage}: ${reason}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => (count === 1 ? line : `${line} (${count} times)`));
}

function describeAll(error: unknown): string {
  return listErrors(error)
    .map((each) => describeError(each))
    .join('; ');
}

/** A dial of several addresses fails with an AggregateError of the errors of each address. */
function listErrors(error: unknown): readonly unknown[] {
  return typeof error === 'object' && error !== null && 'errors' in error && Array.isArray(error.errors)
    ? error.errors.flatMap(listErrors)
    : [error];
}
