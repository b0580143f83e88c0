// A registration in Redis: one script, or commands of one key each where that is not possible.
import { refused } from '../../shared/result.ts';
import {
  CLAIM_SECONDS,
  type ClaimSet,
  claimsOf,
  type Conflict,
  conflictsOf,
  MAX_CLAIMS_PER_KEY,
} from './claims.ts';
import { ABSENCE_SECONDS, RENEWAL_SECONDS, TENURE_SECONDS } from './holds.ts';
import { decodeClaims, reportConflict } from './redis-claims.ts';
import { singleMember } from './redis-counts.ts';
import { countHold } from './redis-holds.ts';
import {
  ALL_KEY,
  CIRCUITS_KEY,
  claimsKey,
  holdKey,
  holdsKey,
  HUB_USERS_KEY,
  hubsKey,
  peerKey,
  RELAYED_KEY,
  SINGLE_KEY,
  userKey,
} from './redis-keys.ts';
import { decodeOwner, encodeOwner, encodeRecord } from './redis-records.ts';
import { leaveUser, registerInSteps } from './redis-steps.ts';
import { inBackground, type Store } from './redis-store.ts';
import { createWholeCalls } from './redis-whole-calls.ts';
import { REGISTER_OUTCOMES, type RegisterReply } from './redis-whole-scripts.ts';
import type { RegisterResult, Registration } from './registry.ts';
import { isHubOf } from './star.ts';

type Register = (
  store: Store,
  registration: Registration,
  owner: string | undefined,
) => Promise<RegisterResult>;

/** What follows from a registration alone. A device that repeats its registration has the same object each time. */
interface Derived {
  readonly sets: readonly ClaimSet[];
  readonly fields: readonly string[];
  readonly member: string;
}

/** @param nowMs monotonic clock */
export function createRegister(nowMs: () => number): Register {
  const whole = createWholeCalls(nowMs);
  const derived = new WeakMap<Registration, Derived>();

  function derive(registration: Registration, maxPeers: number): Derived {
    const known = derived.get(registration);
    if (known !== undefined) return known;
    const sets = claimsOf(registration, maxPeers);
    const fields = sets.flatMap(({ claims }) => claims.map(({ field }) => field));
    const { userId } = registration;
    const made = { sets, fields, member: userId === null ? '' : singleMember(userId) };
    derived.set(registration, made);
    return made;
  }

  return async (store, registration, owner) => {
    const known = derive(registration, store.maxPeers);
    const reply = await whole.send(store, () => sendWhole(store, registration, owner, known));
    if (reply === undefined) return registerInSteps(store, registration, owner);
    if (reply === REGISTER_OUTCOMES.registered) return ACCEPTED;
    return finish(store, registration, owner, known, reply);
  };
}

const ACCEPTED = { ok: true } as const;

function sendWhole(
  { client, ttlSeconds, maxPeers }: Store,
  registration: Registration,
  owner: string | undefined,
  { sets: [ofPeer, ofDevice], fields, member }: Derived,
): Promise<RegisterReply> {
  const { peerId, userId, json, relays = 0 } = registration;
  const isHub = isHubOf(registration);
  const ofUser = userId === null ? [] : [userKey(userId), hubsKey(userId)];
  return client.register(
    9 + ofUser.length,
    peerKey(peerId),
    ALL_KEY,
    holdKey(peerId),
    RELAYED_KEY,
    CIRCUITS_KEY,
    SINGLE_KEY,
    HUB_USERS_KEY,
    claimsKey(ofPeer?.key ?? ''),
    claimsKey(ofDevice?.key ?? ''),
    ...ofUser,
    peerId,
    encodeRecord(userId, json, isHub),
    ttlSeconds * 1_000_000,
    owner === undefined ? '' : encodeOwner(owner),
    Number(registration.isHub === true),
    Number(isHub),
    maxPeers,
    relays,
    userId ?? '',
    member,
    TENURE_SECONDS * 1_000_000,
    RENEWAL_SECONDS * 1_000_000,
    ABSENCE_SECONDS * 1_000_000,
    CLAIM_SECONDS * 1_000_000,
    MAX_CLAIMS_PER_KEY,
    ofPeer?.claims.length ?? 0,
    ...fields,
  );
}

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
