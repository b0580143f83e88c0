// A registration in Redis with commands that use one key each and are sent together.
import { refused } from '../../shared/result.ts';
import { claimsOf, conflictsOf } from './claims.ts';
import { decodeClaims, reportConflict, sendClaims, withdrawClaims } from './redis-claims.ts';
import { countRegistration, countUser } from './redis-counts.ts';
import { countHold, DUE, freeHold, HELD, readHold, writeHold } from './redis-holds.ts';
import { enrollHub, forgetHub } from './redis-hubs.ts';
import { ALL_KEY, peerKey, userKey } from './redis-keys.ts';
import { decodeRecord, encodeOwner, encodeRecord } from './redis-records.ts';
import { REPLACE_REFUSALS } from './redis-script-functions.ts';
import { inBackground, type Store } from './redis-store.ts';
import type { RegisterResult, Registration } from './registry.ts';
import { isHubOf } from './star.ts';

/**
 * Maximum index entries of a listing without a limit. The peers of a user are limited only by the maximum of all peers.
 */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Registers with commands of one key each, which a Cluster requires. */
export async function registerInSteps(
  store: Store,
  registration: Registration,
  owner: string | undefined,
): Promise<RegisterResult> {
  const { client, ttlSeconds, maxPeers, roundTrip } = store;
  const ttlMicros = ttlSeconds * 1_000_000;
  const { peerId, userId, json } = registration;
  const [hold] = owner === undefined ? [] : await roundTrip([readHold(client, peerId, owner)]);
  if (hold === HELD) return refused('held');
  const hubUserId = isHubOf(registration) ? userId : null;
  const record = encodeRecord(userId, json, hubUserId !== null);
  const ttlMs = ttlSeconds * 1_000;
  const sets = claimsOf(registration, maxPeers);
  const ignored = (error: unknown): string[] => {
    store.report(error, 'claim not stored');
    return [];
  };
  // It is sent together with the other commands, because writing to the socket costs more than the command.
  if (owner === undefined) inBackground(store, 'hold not freed', [freeHold(client, peerId)]);
  const [reply, enrolled, , , ...claimed] = await roundTrip([
    client.replace(
      peerKey(peerId),
      record,
      ttlMs,
      owner === undefined ? '' : encodeOwner(owner),
      Number(registration.isHub === true),
    ),
    client.enroll(ALL_KEY, peerId, ttlMicros, maxPeers),
    userId === null ? 1 : client.enroll(userKey(userId), peerId, ttlMicros, UNLIMITED),
    hubUserId === null ? 1 : enrollHub(store, hubUserId, peerId),
    ...sets.map((set) => sendClaims(client, set).catch(ignored)),
  ]);
  if (typeof reply === 'object') await leaveUser(store, registration, reply);
  const isWritten = reply !== REPLACE_REFUSALS.foreign && reply !== REPLACE_REFUSALS.hub;
  const isHeld = isWritten && enrolled === 1 && hold === DUE && !(await renewHold(store, peerId, owner));
  if (isWritten && enrolled === 1 && !isHeld) {
    countRegistration(store, registration);
    const conflicts = sets.flatMap((set, index) =>
      conflictsOf(set, decodeClaims(claimed[index] ?? []), userId),
    );
    inBackground(
      store,
      'conflict not reported',
      conflicts.map((conflict) => reportConflict(client, conflict)),
    );
    return conflicts.length === 0 ? { ok: true } : { ok: true, conflicts };
  }
  inBackground(
    store,
    'claims not withdrawn',
    sets.map((set) => withdrawClaims(client, set)),
  );
  if (hubUserId !== null) await roundTrip([forgetHub(store, hubUserId, peerId)]);
  if (!isWritten) return refused(reply === REPLACE_REFUSALS.hub ? 'hub' : 'foreign');
  // The order does not matter, so one round trip is used. The record of a refused peer is withdrawn afterwards.
  await roundTrip([
    client.withdraw(peerKey(peerId), record),
    userId === null ? 0 : client.zrem(userKey(userId), peerId),
    isHeld ? client.zrem(ALL_KEY, peerId) : 0,
  ]);
  return refused(isHeld ? 'held' : 'full');
}

/**
 * Removes what the registration of the previous user left, so that a peer that changes its user all the time leaves
 * nothing behind. An error is only reported, because everything expires.
 */
export async function leaveUser(
  store: Store,
  registration: Registration,
  [old, micros]: [string, string],
): Promise<void> {
  const { client, maxPeers, report } = store;
  const { userId, json, isHub } = decodeRecord(old);
  if (userId === null) return;
  const { meta } = JSON.parse(json) as { meta: { device_id?: unknown } | null };
  const deviceId = typeof meta?.device_id === 'string' ? meta.device_id : null;
  const before = { ...registration, userId, deviceId, hostname: null };
  const sets = claimsOf(before, maxPeers).filter(({ claims }) =>
    claims.some(({ kind }) => kind === 'peer_id'),
  );
  await Promise.all([
    client.leave(userKey(userId), registration.peerId, micros),
    isHub ? forgetHub(store, userId, registration.peerId, micros) : undefined,
    ...sets.map((set) => withdrawClaims(client, set)),
  ]).catch((error: unknown) => report(error, 'previous user not left'));
  inBackground(store, 'count not updated', [countUser(store, userId)]);
}

/** Writes a hold, and returns false when another tracker wrote it for another user a moment ago. */
async function renewHold(store: Store, peerId: string, owner = ''): Promise<boolean> {
  const { client, roundTrip } = store;
  const [reply] = await roundTrip([writeHold(client, peerId, owner)]);
  if (reply === HELD) return false;
  inBackground(store, 'hold not counted', [countHold(client, peerId, owner)]);
  return true;
}
