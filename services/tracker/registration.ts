// Converts the body of a registration to the record that the registry stores, with a cache.
import { registerRequestSchema } from '../shared/contract.ts';
import { checkAddrs } from './addrs.ts';
import { type Parsed, parseJson } from './body.ts';
import { canonicalPeerId } from './peerid.ts';
import type { Registration } from './registry/registry.ts';

export interface ParsedRegistration {
  readonly registration: Registration;
  /** Addresses that were dropped because no device can connect to them. */
  readonly droppedAddrs: number;
}

/** Maximum bodies in the cache. Above this limit the cache is emptied. */
export const MAX_CACHED_BODIES = 20_000;

/**
 * Maximum length of a cached body, in characters. Longer bodies are not cached. Most bodies have some hundred
 * characters.
 */
const MAX_CACHED_LENGTH = 2_048;

/**
 * Creates a reader of registrations. Devices send the same body every 30 seconds, and validating a body costs
 * several times as much as storing it, so the results of valid bodies are cached by their text.
 */
export function createRegistrationReader(
  dropPrivateAddrs: boolean,
): (body: string) => Parsed<ParsedRegistration> {
  const cache = new Map<string, Parsed<ParsedRegistration>>();
  return (body) => {
    const cached = cache.get(body);
    if (cached !== undefined) return cached;
    const parsed = parseRegistration(body, dropPrivateAddrs);
    if (parsed.ok && body.length <= MAX_CACHED_LENGTH) {
      if (cache.size >= MAX_CACHED_BODIES) cache.clear();
      cache.set(body, parsed);
    }
    return parsed;
  };
}

function parseRegistration(body: string, dropPrivateAddrs: boolean): Parsed<ParsedRegistration> {
  const parsed = parseJson(body, registerRequestSchema);
  if (!parsed.ok) return parsed;
  const { peer_id, addrs, meta = null } = parsed.value;
  const peerId = canonicalPeerId(peer_id.trim());
  if (peerId === undefined) return { ok: false, reason: 'invalid_peer_id' };
  const checked = checkAddrs(addrs, peerId, dropPrivateAddrs);
  if (!checked.ok) return checked;
  const json = JSON.stringify({ peer_id: peerId, addrs: checked.kept, meta });
  return {
    ok: true,
    registration: { peerId, userId: meta?.user_id ?? null, json },
    droppedAddrs: checked.dropped,
  };
}
