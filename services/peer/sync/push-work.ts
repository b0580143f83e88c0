// The work on one push after it has been received: decodes it, checks whose items it has, and stores them.
import { describeError } from '../../shared/errors.ts';
import type { Member, Membership } from './membership.ts';
import type { ByteBudget } from './byte-budget.ts';
import { BadMessageError, NoMemoryError } from './message-reader.ts';
import { checkProvenance, checkUser, createOwners, type Owners } from './provenance.ts';
import type { PushCounts } from './push-protocol.ts';
import { decodePushRequest, type PushRequest } from './push-request.ts';
import { outcomeOfPermit, type PushOutcome, type PushStorage } from './push-outcomes.ts';
import {
  addStored,
  NOTHING_STORED,
  type PushItems,
  type PushWriter,
  type StoredCounts,
} from './push-writer.ts';
import type { LatePushes, PushSummary } from './late-pushes.ts';
import type { PeerLocks } from './peer-locks.ts';
import type { Semaphore } from './semaphore.ts';
import { MessageTooLargeError, StreamCutError } from './stream-io.ts';

/** What is known about a push; it grows while it is in work. */
export interface PushRecord {
  readonly peer: string;
  /** The registration of the sender; `undefined` for one that is in no list. */
  member: Member | undefined;
  bytes: number;
  request: PushSummary | undefined;
  owners: Owners | undefined;
  stored: StoredCounts;
  /** Why the push was refused or rejected, as a text for the log. */
  problem: string | undefined;
}

export function createRecord(peer: string): PushRecord {
  return {
    peer,
    member: undefined,
    bytes: 0,
    request: undefined,
    owners: undefined,
    stored: NOTHING_STORED,
    problem: undefined,
  };
}

/** The counts of the answer. What is not valid counts as ignored. */
export function countsOf({ request, stored }: PushRecord): PushCounts {
  const { inserted, deletionInserted, deletionDeleted } = stored;
  return {
    inserted,
    ignored: (request?.entries ?? 0) - (request === undefined ? 0 : inserted),
    deletionInserted,
    deletionIgnored: request === undefined ? 0 : request.deletions - deletionInserted,
    deletionDeleted,
  };
}

export interface PushWorkDeps {
  readonly membership: Pick<Membership, 'confirm'>;
  /** The user of this device. A sender that is in no list may push the items of its devices. */
  readonly userId: string;
  readonly locks: PeerLocks;
  readonly late: LatePushes;
  readonly turns: Semaphore;
  /** For the decoded bytes of pushes: a few kilobytes may decompress to entries of many megabytes. */
  readonly decoded: ByteBudget;
  readonly writer: PushWriter;
  readonly storage?: PushStorage | undefined;
}

export interface PushWorkOptions {
  readonly protocol: string;
  readonly message: Uint8Array;
  /** Aborts when the answer is due. A push that waits then gives up, one that is in work continues. */
  readonly deadline: AbortSignal;
  /** Aborts the work. */
  readonly signal: AbortSignal;
}

/** Stores a push, after the pushes of its sender that are in work. */
export async function workOn(
  record: PushRecord,
  deps: PushWorkDeps,
  options: PushWorkOptions,
): Promise<PushOutcome> {
  const release = await deps.locks.acquire(record.peer, options.deadline);
  if (release === undefined) return 'deadline';
  try {
    record.request = deps.late.find(record.peer, options.message);
    if (record.request !== undefined) return 'stored';
    const outcome = await confirmAndStore(record, deps, options);
    if (outcome === 'stored' && options.deadline.aborted && record.request !== undefined)
      deps.late.add(record.peer, options.message, record.request);
    return outcome;
  } finally {
    release();
  }
}

async function confirmAndStore(
  record: PushRecord,
  deps: PushWorkDeps,
  options: PushWorkOptions,
): Promise<PushOutcome> {
  const outcome = await decodeAndStore(record, deps, options);
  const { member, owners } = record;
  if (outcome !== 'foreign_items' || member === undefined || owners === undefined) return outcome;
  // The device may have registered under other ids since it became known. A refusal would be repeated for ever.
  const confirmed = await deps.membership.confirm(record.peer, (each) => checkProvenance(owners, each).ok);
  if (!confirmed.ok) return outcome;
  record.member = confirmed.member;
  return decodeAndStore(record, deps, options);
}

async function decodeAndStore(
  record: PushRecord,
  { turns, decoded, writer, storage, userId }: PushWorkDeps,
  options: PushWorkOptions,
): Promise<PushOutcome> {
  const { protocol, message, deadline, signal } = options;
  const turn = await turns.acquire(record.peer, deadline);
  if (!turn.ok) return outcomeOfPermit(turn.reason);
  const hold = decoded.open();
  try {
    signal.throwIfAborted();
    const owners = createOwners();
    record.owners = owners;
    const request = await decodePushRequest(protocol, message, owners, (bytes) => hold.grow(bytes, deadline));
    record.request = request;
    const { member } = record;
    const checked = member === undefined ? checkUser(owners, userId) : checkProvenance(owners, member);
    record.problem = checked.ok ? undefined : checked.reason;
    if (!checked.ok) return 'foreign_items';
    return await storeAll(record, request, { writer, storage }, options);
  } catch (error) {
    if (error instanceof NoMemoryError) return 'too_many';
    if (!isBadMessage(error)) throw error;
    record.problem = describeError(error);
    return 'invalid_message';
  } finally {
    hold.release();
    turn.release();
  }
}

async function storeAll(
  record: PushRecord,
  request: PushRequest,
  { writer, storage }: Pick<PushWorkDeps, 'writer' | 'storage'>,
  { deadline, signal }: PushWorkOptions,
): Promise<PushOutcome> {
  const options = {
    signal,
    lockSignal: deadline,
    onStored: (counts: StoredCounts) => void (record.stored = addStored(record.stored, counts)),
  };
  for await (const items of itemsOf(request)) {
    // A full database still accepts deletions.
    const checked = items.items.length === 0 ? undefined : storage?.check(items.kind);
    if (checked?.ok === false) return checked.reason;
    const result = await writer.write(items, options);
    if (!result.ok) return result.reason;
  }
  return 'stored';
}

/** Deletions first, so that entries that the same push deletes are not stored. */
async function* itemsOf(request: PushRequest): AsyncGenerator<PushItems> {
  for await (const items of request.readDeletions()) yield { kind: 'deletions', items };
  for await (const items of request.readEntries()) yield { kind: 'entries', items };
}

function isBadMessage(error: unknown): boolean {
  return (
    error instanceof BadMessageError ||
    error instanceof MessageTooLargeError ||
    error instanceof StreamCutError
  );
}
