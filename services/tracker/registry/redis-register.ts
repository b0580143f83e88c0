// A registration in Redis: a script of one or more registrations, or commands of one key each where that is not possible.
import { refused } from '../../shared/result.ts';
import { type ClaimSet, claimsOf, type Conflict, conflictsOf } from './claims.ts';
import { decodeClaims, reportConflict } from './redis-claims.ts';
import { singleMember } from './redis-counts.ts';
import { countHold } from './redis-holds.ts';
import { holdsKey } from './redis-keys.ts';
import { decodeOwner } from './redis-records.ts';
import { leaveUser, registerInSteps } from './redis-steps.ts';
import { inBackground, type Store } from './redis-store.ts';
import { createRegisterBatch } from './redis-register-batch.ts';
import { REGISTER_OUTCOMES, type RegisterReply } from './redis-whole-scripts.ts';
import type { RegisterResult, Registration } from './registry.ts';

type Register = (
  store: Store,
  registration: Registration,
  owner: string | undefined,
) => Promise<RegisterResult>;

/** What follows from a registration alone. A device that repeats its registration has the same object each time. */
interface Derived {
  readonly sets: readonly ClaimSet[];
  readonly member: string;
}

/** @param nowMs monotonic clock */
export function createRegister(nowMs: () => number): Register {
  const batch = createRegisterBatch(nowMs);
  const derived = new WeakMap<Registration, Derived>();

  function derive(registration: Registration, maxPeers: number): Derived {
    const known = derived.get(registration);
    if (known !== undefined) return known;
    const sets = claimsOf(registration, maxPeers);
    const { userId } = registration;
    const made = { sets, member: userId === null ? '' : singleMember(userId) };
    derived.set(registration, made);
    return made;
  }

  return async (store, registration, owner) => {
    if (store.client.isCluster) return registerInSteps(store, registration, owner);
    const known = derive(registration, store.maxPeers);
    const { sets, member } = known;
    const reply = await batch.send(store, { registration, owner, sets, member });
    if (reply === undefined) return registerInSteps(store, registration, owner);
    if (reply === REGISTER_OUTCOMES.registered) return ACCEPTED;
    return finish(store, registration, owner, known, reply);
  };
}

const ACCEPTED = { ok: true } as const;

/** Does what a script of these keys cannot do, because the keys follow from its result. */
async function finish(
  store: Store,
  registration: Registration,
  owner: string | undefined,
  { sets }: Derived,
  reply: Exclude<RegisterReply, number>,
): Promise<RegisterResult> {
  const { client } = store;
  const [outcome, old = '', micros = '', freed = '', isHoldWritten, ...claimed] = reply;
  if (outcome !== REGISTER_OUTCOMES.registered) return refused(REFUSALS[outcome]);
  if (freed !== '') {
    // `first last owner`
    const owned = freed.split(' ').slice(2).join(' ');
    inBackground(store, 'hold not freed', [client.zrem(holdsKey(decodeOwner(owned)), registration.peerId)]);
  }
  if (isHoldWritten === 1 && owner !== undefined)
    inBackground(store, 'hold not counted', [countHold(client, registration.peerId, owner)]);
  if (old !== '') await leaveUser(store, registration, [old, micros]);
  const conflicts = sets.flatMap((set, index): Conflict[] =>
    conflictsOf(set, decodeClaims(claimed[index] ?? []), registration.userId),
  );
  inBackground(
    store,
    'conflict not reported',
    conflicts.map((conflict) => reportConflict(client, conflict)),
  );
  return conflicts.length === 0 ? ACCEPTED : { ok: true, conflicts };
}

const REFUSALS = {
  [REGISTER_OUTCOMES.full]: 'full',
  [REGISTER_OUTCOMES.held]: 'held',
  [REGISTER_OUTCOMES.foreign]: 'foreign',
  [REGISTER_OUTCOMES.hub]: 'hub',
} as const;
