// Every outcome of a push that another device sends, declared once. Only the first one moves the sender's cursors.
import type { DatabaseError } from '../history/database.ts';
import type { Storage } from '../history/storage.ts';
import { STORAGE_PROBLEMS, type StorageProblem, storageProblemOf } from '../history/storage-problems.ts';
import type { NotMemberReason } from './membership.ts';
import type { PermitRefusal } from './semaphore.ts';

export const PUSH_OUTCOMES = {
  stored: { doc: 'All valid entries and deletions of the push are stored, or were before.' },
  not_member: { doc: 'The sender is not a device of this user, or could not be looked up.' },
  not_allowed: { doc: 'The sender is not in `allowed_peers`.' },
  revoked: { doc: 'The sender was removed from the devices of this user.' },
  foreign_items: {
    doc: 'An entry or a deletion has another user or device than its sender registered. Nothing of the push was stored.',
  },
  invalid_message: { doc: 'The message is not a push, or is larger than the protocol permits.' },
  too_many: { doc: 'The maximum number of pushes is in work, or their bytes.' },
  too_many_of_peer: { doc: 'The maximum number of pushes of this sender is in work.' },
  deadline: {
    doc: 'Not everything was stored before the sender gives up waiting. What remains is stored nevertheless, unless this peer stops, and the sender repeats the push.',
  },
  stopping: { doc: 'This peer is stopping.' },
  interrupted: { doc: 'The connection ended, or was idle, before the push was complete.' },
  failed: { doc: 'The push failed for a reason that is a defect of this program.' },
  locked: { doc: 'Another process wrote to the database until the deadline of the answer.' },
  ...STORAGE_PROBLEMS,
} as const satisfies Record<string, { readonly doc: string }>;
export type PushOutcome = keyof typeof PUSH_OUTCOMES;

/** Why a push could not be stored. */
export type StorageOutcome = StorageProblem | 'locked';

/** Decides whether something can be stored. */
export type PushStorage = Pick<Storage, 'check' | 'report'>;

/** The outcome of a push whose sender is refused. */
export function outcomeOf(reason: NotMemberReason): PushOutcome {
  if (reason === 'the peer is revoked') return 'revoked';
  return reason === 'the peer is not in allowed_peers' ? 'not_allowed' : 'not_member';
}

/** The outcome of a push that has no place or no turn. */
export function outcomeOfPermit(reason: PermitRefusal): PushOutcome {
  return reason === 'too many requests of this peer' ? 'too_many_of_peer' : 'too_many';
}

/** The outcome of a push because of an error of the database. */
export function outcomeOfStorage(error: DatabaseError, storage: PushStorage | undefined): StorageOutcome {
  return storage?.report(error) ?? storageProblemOf(error, Infinity) ?? 'locked';
}

/** A push, as it is reported when it has ended. */
export interface PushEvent {
  readonly outcome: PushOutcome;
  readonly peer: string;
  readonly userId: string;
  /** The registered device; of a sender that is in no list, the device whose items it pushed, if it is only one. */
  readonly deviceId: string | undefined;
  /** Number of entries and deletions in the push, valid or not. */
  readonly entries: number;
  readonly deletions: number;
  /** Entries that were new. */
  readonly inserted: number;
  /** Entries and deletions that are not valid. */
  readonly invalid: number;
  /** Size of the push on the wire. */
  readonly bytes: number;
  readonly durationMs: number;
}
