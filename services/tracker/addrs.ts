// Selects the addresses of a registration that are stored. Pure functions. No registration is refused for its
// addresses, because a device that is refused is unreachable also at its good ones.
import { type Component, multiaddr } from '@multiformats/multiaddr';
import { MAX_ADDR_BYTES, MAX_ADDRS } from '../shared/contract.ts';
import {
  ADDRESS_CLASSES,
  type AddressClass,
  addressClass,
  isCircuit,
  isPrivate,
  isUnreachable,
} from '../shared/address-class.ts';
import { jsonBytes, MAX_FIELD_BYTES } from './record-size.ts';
import { type AddressDrop, createDropCounter, type Dropped } from './drops.ts';
import { canonicalPeerId } from './peerid.ts';

/**
 * Maximum addresses of one registration that are parsed, so that a body with thousands of them costs little. `rr` sends
 * at most 64, and 0.1 some more.
 */
const MAX_PARSED_ADDRS = 256;

/** Maximum peer ids in one address: of two relays and of the device. Decoding them is expensive. */
const MAX_PEER_IDS = 3;

export interface SelectedAddrs {
  /** At most `MAX_ADDRS`, in the order given. */
  readonly kept: readonly string[];
  readonly dropped: Dropped<AddressDrop>;
}

/**
 * Selects the addresses of one registration. Surrounding space is trimmed, and empty texts are skipped. Every other
 * address that is not kept is dropped and counted by reason. A circuit is never dropped for the host of its relay:
 * `rr` uses its own relay instead of the one in the circuit, and a relay may be in the same private network.
 *
 * @param given `addrs` of the body; absent and `null` mean an empty list, and any other value that is not a list counts
 *   as one mistyped address
 * @param peerId canonical id of the peer that registers
 * @param dropPrivate whether to drop private and loopback addresses too; by default they are kept, because devices in
 *   the same LAN need them
 * @param maxBytes maximum bytes of the kept addresses as JSON
 */
export function selectAddrs(
  given: unknown,
  peerId: string,
  dropPrivate: boolean,
  maxBytes: number = MAX_FIELD_BYTES,
): SelectedAddrs {
  const { counts, drop } = createDropCounter<AddressDrop>();
  const kept: Candidate[] = [];
  let parsed = 0;
  let keptBytes = 0;
  // The class is known without parsing, so a circuit is found in any number of other addresses.
  const candidates = readCandidates(given, drop);
  for (const kind of ADDRESS_CLASSES)
    for (const candidate of candidates.get(kind) ?? []) {
      if (kept.length === MAX_ADDRS || parsed === MAX_PARSED_ADDRS) {
        drop('over_limit');
        continue;
      }
      parsed += 1;
      const reason = checkAddr(candidate.addr, peerId, dropPrivate);
      const bytes = jsonBytes(candidate.addr);
      if (reason !== undefined) drop(reason);
      else if (keptBytes + bytes > maxBytes) drop('over_limit');
      else {
        kept.push(candidate);
        keptBytes += bytes;
      }
    }
  const inOrder = kept.toSorted((a, b) => a.index - b.index);
  return { kept: inOrder.map(({ addr }) => addr), dropped: counts };
}

/** A text that may be an address, and its place in the list. */
interface Candidate {
  readonly addr: string;
  readonly index: number;
}

/** The texts of `addrs` by class. What is not a text is dropped. */
function readCandidates(given: unknown, drop: (reason: AddressDrop) => void): Map<AddressClass, Candidate[]> {
  const classes = new Map<AddressClass, Candidate[]>();
  const isList = Array.isArray(given);
  if (!isList && given !== undefined && given !== null) drop('mistyped');
  for (const [index, each] of (isList ? (given as readonly unknown[]) : []).entries()) {
    if (typeof each !== 'string') {
      drop('mistyped');
      continue;
    }
    const addr = each.trim();
    if (addr === '') continue;
    const kind = addressClass(addr);
    const list = classes.get(kind);
    if (list === undefined) classes.set(kind, [{ addr, index }]);
    else list.push({ addr, index });
  }
  return classes;
}

/** The reason to drop an address; `undefined` when it is kept. */
function checkAddr(addr: string, peerId: string, dropPrivate: boolean): AddressDrop | undefined {
  if (Buffer.byteLength(addr) > MAX_ADDR_BYTES) return 'too_long';
  const components = readComponents(addr);
  if (components === undefined) return 'not_a_multiaddr';
  const target = targetPeer(components);
  if (target !== undefined && target !== peerId && canonicalPeerId(target) !== peerId) return 'foreign';
  if (isCircuit(components)) return undefined;
  if (isUnreachable(components)) return 'unreachable';
  return dropPrivate && isPrivate(components) ? 'private' : undefined;
}

/** The components of a multiaddr, or `undefined`; stricter than the library on spaces and on peer ids. */
function readComponents(addr: string): Component[] | undefined {
  if (!addr.startsWith('/') || addr.startsWith('//') || /[\s\p{Cc}\p{Cs}]/u.test(addr)) return undefined;
  if (addr.split('/p2p/').length > MAX_PEER_IDS + 1) return undefined;
  try {
    const components = multiaddr(addr).getComponents();
    if (components.length === 0) return undefined;
    const valid = components.every(
      ({ name, value }) => name !== 'p2p' || canonicalPeerId(value ?? '') !== undefined,
    );
    return valid ? components : undefined;
  } catch {
    return undefined;
  }
}

/** The peer at the end of an address, if there is one; a peer before the last `p2p-circuit` is the relay. */
function targetPeer(components: readonly Component[]): string | undefined {
  const last = components.findLast(({ name }) => name === 'p2p' || name === 'p2p-circuit');
  return last?.name === 'p2p' ? last.value : undefined;
}
