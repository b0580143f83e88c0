// Converts the body of a registration to the record that the registry stores, with a cache.
import { registerRequestSchema } from '../shared/contract.ts';
import { selectAddrs } from './addrs.ts';
import { type Parsed, parseJson } from './body.ts';
import type { AddressDrop, Dropped, MetaDrop } from './drops.ts';
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
 * Maximum bytes of the cached registrations. Above this limit the cache is emptied. One device uses about 1.5 KB.
 * Characters are counted as one byte; texts beyond Latin-1 use twice as much.
 */
export const MAX_CACHED_REGISTRATION_BYTES = 16 * 1024 * 1024;

/** Bytes of a cached registration in addition to the characters of its key and its record. */
const ENTRY_BYTES = 512;

/**
 * Maximum length of a cached registration, in characters. Longer ones are not cached. Most have some hundred
 * characters.
 */
const MAX_CACHED_LENGTH = 2_048;

/** Maximum length of a body that is looked up in the cache, in characters. The fields that are not stored are longer. */
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

/**
 * Creates a parser of registrations. Devices register the same addresses every 30 seconds, and checking these costs
 * several times as much as parsing JSON, so the results are cached. The key has only the fields that are stored: `rr`
 * 1.x adds a proof with a new signature to each registration.
 */
export function createRegistrationParser(
  dropPrivateAddrs: boolean,
  maxCachedBytes: number = MAX_CACHED_REGISTRATION_BYTES,
): (body: string) => Parsed<{ readonly request: RegistrationRequest }> {
  const cache = new Map<string, Parsed<ParsedRegistration>>();
  let cachedBytes = 0;

  function read(fields: RegisterFields, isShort: boolean): Parsed<ParsedRegistration> {
    const isCached = isShort && isFlat(fields.addrs) && isFlat(fields.meta);
    const key = isCached ? JSON.stringify(fields) : undefined;
    const cached = key === undefined ? undefined : cache.get(key);
    if (cached !== undefined) return cached;
    const result = readRecord(fields, dropPrivateAddrs);
    if (result.ok && key !== undefined && key.length <= MAX_CACHED_LENGTH) {
      const bytes = ENTRY_BYTES + key.length + result.registration.json.length;
      if (cachedBytes + bytes > maxCachedBytes) {
        cache.clear();
        cachedBytes = 0;
      }
      cache.set(key, result);
      cachedBytes += bytes;
    }
    return result;
  }

  return (body) => {
    const parsed = parseJson(body, registerRequestSchema);
    if (!parsed.ok) return parsed;
    const { peer_id, addrs, meta = null } = parsed.value;
    const fields: RegisterFields = { peer_id, addrs, meta };
    const request: RegistrationRequest = {
      userId: textOf(meta?.['user_id']),
      peerId: peer_id,
      read: () => read(fields, body.length <= MAX_BODY_LENGTH),
    };
    return { ok: true, request };
  };
}

/** Whether a list or an object has no lists or objects in it, whose depth could exceed the stack of `stringify`. */
function isFlat(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    (value === null || Object.values(value).every((each) => each === null || typeof each !== 'object'))
  );
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
    droppedAddrs: selectedAddrs.dropped,
    droppedMeta: selectedMeta.dropped,
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
