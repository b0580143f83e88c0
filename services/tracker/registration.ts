// Reads the body of a registration into what the registry keeps: pure rules, and a memory of what they said.
import { registerRequestSchema } from '../shared/contract.ts';
import { judgeAddrs } from './addrs.ts';
import { type BodyRefusal, readJson } from './body.ts';
import { canonicalPeerId } from './peerid.ts';
import type { Registration } from './registry/registry.ts';

/** A valid registration, and how many of its addresses were dropped. */
export interface ReadRegistration extends Registration {
  readonly dropped: number;
}

/** Bodies remembered at most; when there are more, remembering begins anew. */
const MAX_REMEMBERED = 20_000;

/** Longest body remembered, in characters: with the number above a bound of some 80 MB, in practice 10. */
const MAX_REMEMBERED_LENGTH = 2_048;

/**
 * Reads registrations. Devices send the same body every 30 seconds, and reading it costs several times what
 * keeping it does, so a valid body is remembered word for word with what it was read to.
 */
export function createRegistrationReader(
  dropPrivateAddrs: boolean,
): (body: string) => ReadRegistration | BodyRefusal {
  const remembered = new Map<string, ReadRegistration>();
  return (body) => {
    const known = remembered.get(body);
    if (known !== undefined) return known;
    const read = readRegistration(body, dropPrivateAddrs);
    if (!('refusal' in read) && body.length <= MAX_REMEMBERED_LENGTH) {
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      remembered.set(body, read);
    }
    return read;
  };
}

function readRegistration(body: string, dropPrivateAddrs: boolean): ReadRegistration | BodyRefusal {
  const request = readJson(body, registerRequestSchema);
  if ('refusal' in request) return request;
  const { peer_id, addrs, meta = null } = request.value;
  const peerId = canonicalPeerId(peer_id.trim());
  if (peerId === undefined) return { refusal: 'invalid_peer_id' };
  const verdict = judgeAddrs(addrs, peerId, dropPrivateAddrs);
  if ('refusal' in verdict) return verdict;
  return {
    peerId,
    userId: meta?.user_id ?? null,
    json: JSON.stringify({ peer_id: peerId, addrs: verdict.kept, meta }),
    dropped: verdict.dropped,
  };
}
