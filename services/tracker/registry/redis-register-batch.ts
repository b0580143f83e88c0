// Sends the registrations of one turn of the event loop to Redis in few scripts. The client and Redis spend as much on a
// command as on a registration.
import { CLAIM_SECONDS, type ClaimSet, MAX_CLAIMS_PER_KEY } from './claims.ts';
import { ABSENCE_SECONDS, RENEWAL_SECONDS, TENURE_SECONDS } from './holds.ts';
import {
  ALL_KEY,
  CIRCUITS_KEY,
  claimsKey,
  holdKey,
  HUB_USERS_KEY,
  hubsKey,
  peerKey,
  RELAYED_KEY,
  SINGLE_KEY,
  userKey,
} from './redis-keys.ts';
import { encodeOwner, encodeRecord } from './redis-records.ts';
import type { Store } from './redis-store.ts';
import { createWholeCalls } from './redis-whole-calls.ts';
import type { RegisterReply } from './redis-whole-scripts.ts';
import type { Registration } from './registry.ts';
import { isHubOf } from './star.ts';

/** Maximum registrations of one script. They keep Redis from other clients for about 2 ms. */
const MAX_REGISTRATIONS = 32;

/** Maximum characters of the records of one script, unless it has only one, so that Redis needs little memory for it. */
const MAX_LENGTH = 64 * 1024;

/** A registration, and what follows from it alone. */
export interface WholeRegistration {
  readonly registration: Registration;
  readonly owner: string | undefined;
  readonly sets: readonly ClaimSet[];
  readonly member: string;
}

interface Waiting extends WholeRegistration {
  resolve(reply: RegisterReply | undefined): void;
  reject(error: unknown): void;
}

export interface RegisterBatch {
  /** `undefined` when a script may not be sent or was refused. @throws as `RoundTrip` */
  send(store: Store, registration: WholeRegistration): Promise<RegisterReply | undefined>;
}

/** @param nowMs monotonic clock */
export function createRegisterBatch(nowMs: () => number): RegisterBatch {
  const whole = createWholeCalls(nowMs);
  let waiting: Waiting[] = [];
  let waitingLength = 0;
  let waitingStore: Store | undefined;

  function sendAll(): void {
    const [store, all] = [waitingStore, waiting];
    if (store === undefined) return;
    waitingStore = undefined;
    waiting = [];
    waitingLength = 0;
    void answerAll(
      whole.send(store, () => sendScript(store, all)),
      all,
    );
  }

  return {
    send(store, { registration, owner, sets, member }) {
      const { length } = registration.json;
      const isFull = waiting.length >= MAX_REGISTRATIONS || waitingLength + length > MAX_LENGTH;
      if (isFull || waitingStore?.client !== store.client) sendAll();
      const { promise, resolve, reject } = Promise.withResolvers<RegisterReply | undefined>();
      waiting.push({ registration, owner, sets, member, resolve, reject });
      waitingLength += length;
      if (waitingStore === undefined) {
        waitingStore = store;
        setImmediate(sendAll);
      }
      return promise;
    },
  };
}

async function answerAll(sent: Promise<RegisterReply[] | undefined>, all: readonly Waiting[]): Promise<void> {
  try {
    const replies = await sent;
    for (const [index, { resolve }] of all.entries()) resolve(replies?.[index]);
  } catch (error) {
    for (const { reject } of all) reject(error);
  }
}

/** Calls the script with the arguments in the order of its table. */
function sendScript(
  { client, ttlSeconds, maxPeers }: Store,
  all: readonly WholeRegistration[],
): Promise<RegisterReply[]> {
  const keys: string[] = [ALL_KEY, RELAYED_KEY, CIRCUITS_KEY, SINGLE_KEY, HUB_USERS_KEY];
  const given: (string | number)[] = [
    ttlSeconds * 1_000_000,
    maxPeers,
    TENURE_SECONDS * 1_000_000,
    RENEWAL_SECONDS * 1_000_000,
    ABSENCE_SECONDS * 1_000_000,
    CLAIM_SECONDS * 1_000_000,
    MAX_CLAIMS_PER_KEY,
  ];
  for (const { registration, owner, sets, member } of all) {
    const { peerId, userId, json, relays = 0 } = registration;
    const [ofPeer, ofDevice] = sets;
    const recordKey = peerKey(peerId);
    keys.push(
      recordKey,
      holdKey(peerId),
      claimsKey(ofPeer?.key ?? ''),
      claimsKey(ofDevice?.key ?? ''),
      userId === null ? recordKey : userKey(userId),
      userId === null ? recordKey : hubsKey(userId),
    );
    const isHub = isHubOf(registration);
    given.push(
      peerId,
      encodeRecord(userId, json, isHub),
      owner === undefined ? '' : encodeOwner(owner),
      Number(registration.isHub === true),
      Number(isHub),
      relays,
      userId ?? '',
      member,
      ofPeer?.claims.length ?? 0,
      ofDevice?.claims.length ?? 0,
    );
    for (const { claims } of sets) for (const { field } of claims) given.push(field);
  }
  return client.register(keys.length, ...keys, ...given);
}
