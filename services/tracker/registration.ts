// Converts the body of a registration to the record that the registry stores, with a cache.
import { registerRequestSchema } from '../shared/contract.ts';
import { selectAddrs } from './addrs.ts';
import { type Parsed, parseValue } from './body.ts';
import { type AddressDrop, type Dropped, type MetaDrop, NOTHING_DROPPED, sharedCounts } from './drops.ts';
import { selectMeta } from './meta.ts';
import { canonicalPeerId } from './peerid.ts';
import { jsonBytes, MAX_FIELD_BYTES } from './record-size.ts';
import { countRelays } from './registry/counts.ts';
import type { Registration } from './registry/registry.ts';

export interface ParsedRegistration {
  readonly registration: Registration;
  /** What the registration contained and the record does not contain. */
  readonly droppedAddrs: Dropped<AddressDrop>;
  readonly droppedMeta: Dropped<MetaDrop>;
}

/**
 * Maximum bytes of the cached registrations. Above this limit the cache is emptied. One device uses about 1.5 KB; with the
 * memory registry only those are cached of which something was dropped. Characters are counted as one byte; texts beyond Latin-1 use twice as much.
 */
export const MAX_CACHED_REGISTRATION_BYTES = 16 * 1024 * 1024;

/** Bytes of a cached registration, and of what the registry derives from it, without its key and its record. */
const ENTRY_BYTES = 1_024;

/**
 * Maximum length of a cached registration, in characters. Longer ones are not cached. Most have some hundred
 * characters.
 */
const MAX_CACHED_LENGTH = 2_048;

/** Maximum length of a body that is compared with earlier ones, in characters. The fields that are not stored are longer. */
const MAX_BODY_LENGTH = 8_192;

/** The fields of a body that are stored. */
interface RegisterFields {
  readonly peer_id: string;
  readonly addrs?: unknown;
  readonly meta: Readonly<Record<string, unknown>> | null;
}

/** A body whose sender has not been checked yet. Nothing of it is kept before `read`. */
export interface RegistrationRequest {
  /** The user that the device claims; `null` without one. */
  readonly userId: string | null;
  /** The peer id, as it was sent. */
  readonly peerId: string;
  /** Checks the fields and selects what is stored. Call it only for a request that is permitted: it fills the cache. */
  read(): Parsed<ParsedRegistration>;
}

export interface RegistrationParserOptions {
  /** The live registration of a peer, if it is in the memory of this process. Then it is not cached a second time. */
  readonly recall?: ((peerId: string) => Registration | undefined) | undefined;
  /** Default: `MAX_CACHED_REGISTRATION_BYTES`. */
  readonly maxCachedBytes?: number;
}

interface CachedRegistration {
  /** The fields as JSON. */
  readonly key: string;
  readonly result: Parsed<ParsedRegistration>;
}

/**
 * Creates a parser of registrations. Devices register the same fields every 30 seconds, and checking these costs ten times
 * as much as parsing JSON, so a body is first compared with the last one of its device: with the live record, which is
 * the JSON of the fields if nothing was dropped, or else with a cache. Only the fields that are stored are compared: `rr`
 * 1.x adds a proof with a new signature to each registration.
 */
export function createRegistrationParser(
  dropPrivateAddrs: boolean,
  { recall, maxCachedBytes = MAX_CACHED_REGISTRATION_BYTES }: RegistrationParserOptions = {},
): (body: string) => Parsed<{ readonly request: RegistrationRequest }> {
  const cache = new Map<string, CachedRegistration>();
  let cachedBytes = 0;

  function findEarlier(peerId: string, key: string): Parsed<ParsedRegistration> | undefined {
    const live = recall?.(peerId);
    if (live?.json === key)
      return { ok: true, registration: live, droppedAddrs: NOTHING_DROPPED, droppedMeta: NOTHING_DROPPED };
    const cached = cache.get(peerId);
    return cached?.key === key ? cached.result : undefined;
  }

  function drop(peerId: string): void {
    const cached = cache.get(peerId);
    if (cached === undefined) return;
    cachedBytes -= bytesOf(cached);
    cache.delete(peerId);
  }

  function keep(peerId: string, key: string, result: Parsed<ParsedRegistration>): void {
    if (!result.ok || key.length > MAX_CACHED_LENGTH) return;
    drop(peerId);
    const isWhole = result.registration.json === key;
    // The registry has it after the registration.
    if (isWhole && recall !== undefined) return;
    const cached = { key: isWhole ? result.registration.json : key, result };
    if (cachedBytes + bytesOf(cached) > maxCachedBytes) {
      cache.clear();
      cachedBytes = 0;
    }
    cache.set(peerId, cached);
    cachedBytes += bytesOf(cached);
  }

  return (body) => {
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      return { ok: false, reason: 'invalid_json' };
    }
    const ordinary = body.length <= MAX_BODY_LENGTH ? ordinaryFields(value) : undefined;
    const key = ordinary && JSON.stringify(ordinary);
    const earlier = key === undefined ? undefined : findEarlier(ordinary?.peer_id ?? '', key);
    // The same fields were valid before.
    if (earlier !== undefined && ordinary !== undefined) return requestOf(ordinary, () => earlier);
    const parsed = parseValue(value, registerRequestSchema, 'the body');
    if (!parsed.ok) return parsed;
    const { peer_id, addrs, meta = null } = parsed.value;
    return requestOf({ peer_id, addrs, meta }, () => {
      const result = readRecord({ peer_id, addrs, meta }, dropPrivateAddrs);
      if (key !== undefined) keep(peer_id, key, result);
      return result;
    });
  };
}

function requestOf(
  { peer_id: peerId, meta }: RegisterFields,
  read: RegistrationRequest['read'],
): { readonly ok: true; readonly request: RegistrationRequest } {
  return { ok: true, request: { userId: textOf(meta?.['user_id']), peerId, read } };
}

/** The bytes that a cached registration may use. */
function bytesOf({ key, result }: CachedRegistration): number {
  const json = result.ok ? result.registration.json : '';
  return ENTRY_BYTES + key.length + (json === key ? 0 : json.length);
}

/**
 * The stored fields of a body in the form that devices send: a list of texts, and an object of scalars. `undefined` for
 * anything else, also for what the schema accepts. The order of `meta` is that of the schema, which puts `user_id` first.
 */
function ordinaryFields(value: unknown): RegisterFields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { peer_id, addrs, meta = null } = value as Record<string, unknown>;
  if (typeof peer_id !== 'string' || !Array.isArray(addrs) || typeof meta !== 'object') return undefined;
  if (!addrs.every((addr) => typeof addr === 'string') || Array.isArray(meta)) return undefined;
  if (meta === null) return { peer_id, addrs, meta };
  const fields = meta as Record<string, unknown>;
  // A depth of any number could exceed the stack of `stringify`.
  for (const name in fields) if (typeof fields[name] === 'object' && fields[name] !== null) return undefined;
  if (Object.hasOwn(fields, '__proto__')) return undefined;
  if (!Object.hasOwn(fields, 'user_id')) return { peer_id, addrs, meta: fields };
  return { peer_id, addrs, meta: { user_id: fields['user_id'], ...fields } };
}

function readRecord(
  { peer_id, addrs, meta }: RegisterFields,
  dropPrivateAddrs: boolean,
): Parsed<ParsedRegistration> {
  const peerId = canonicalPeerId(peer_id.trim());
  if (peerId === undefined) return { ok: false, reason: 'invalid_peer_id' };
  // The known fields of `meta` come first, then the addresses; the unknown fields get what is left.
  const knownBytes = meta === null ? 0 : selectMeta(meta, MAX_FIELD_BYTES).knownBytes;
  const selectedAddrs = selectAddrs(addrs, peerId, dropPrivateAddrs, MAX_FIELD_BYTES - knownBytes);
  const addrBytes = selectedAddrs.kept.reduce((bytes, addr) => bytes + jsonBytes(addr), 0);
  const selectedMeta =
    meta === null ? { kept: null, dropped: {} } : selectMeta(meta, MAX_FIELD_BYTES - addrBytes);
  const { kept } = selectedMeta;
  return {
    ok: true,
    registration: {
      peerId,
      userId: textOf(kept?.['user_id']),
      deviceId: textOf(kept?.['device_id']),
      hostname: textOf(kept?.['hostname']),
      relays: countRelays(selectedAddrs.kept),
      json: JSON.stringify({ peer_id: peerId, addrs: selectedAddrs.kept, meta: kept }),
    },
    droppedAddrs: sharedCounts(selectedAddrs.dropped),
    droppedMeta: sharedCounts(selectedMeta.dropped),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
