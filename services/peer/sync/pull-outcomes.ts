// Every outcome of a pull of another device, declared once.
export const PULL_OUTCOMES = {
  served: { doc: 'The page was sent. The last page of each pull is empty.' },
  refused: { doc: 'The requester is not a device of this user, is revoked, or is not in `allowed_peers`.' },
  too_many: { doc: 'The maximum number of pulls is in work and waiting, or no turn came in time.' },
  too_many_of_peer: { doc: 'The maximum number of pulls of this requester is in work and waiting.' },
  failed: { doc: 'The request was not valid, the connection ended, or the database could not be read.' },
} as const satisfies Record<string, { readonly doc: string }>;
export type PullOutcome = keyof typeof PULL_OUTCOMES;

/** A request for one page, as it is reported when it has ended. */
export interface PullEvent {
  readonly outcome: PullOutcome;
  readonly peer: string;
  readonly entries: number;
  readonly deletions: number;
  /** Size of the answer on the wire. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Whether the requester has more than this database ever stored, as after an older copy of it was put back. */
  readonly isBeyondStored: boolean;
}
