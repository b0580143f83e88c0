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
} from './address-class.ts';
import { type AddressDrop, createDropCounter, type Dropped } from './drops.ts';
import { canonicalPeerId } from './peerid.ts';

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
 * All addresses of a body of 64 KiB are parsed in about 10 ms.
 *
 * @param given `addrs` of the body; absent and `null` mean an empty list, and any other value that is not a list counts
 *   as one mistyped address
 * @param peerId canonical id of the peer that registers
 * @param dropPrivate whether to drop private and loopback addresses too; by default they are kept, because devices in
 *   the same LAN need them
 */
export function selectAddrs(given: unknown, peerId: string, dropPrivate: boolean): SelectedAddrs {
  const { counts, drop } = createDropCounter<AddressDrop>();
  const good: { readonly addr: string; readonly class: AddressClass }[] = [];
  const isList = Array.isArray(given);
  if (!isList && given !== undefined && given !== null) drop('mistyped');
  for (const each of isList ? (given as readonly unknown[]) : []) {
    if (typeof each === 'string' && each.trim() === '') continue;
    const checked = checkAddr(each, peerId, dropPrivate);
    if (typeof checked === 'string') drop(checked);
    else good.push(checked);
  }
  if (good.length <= MAX_ADDRS) return { kept: good.map(({ addr }) => addr), dropped: counts };
  drop('over_limit', good.length - MAX_ADDRS);
  const best = new Set(
    ADDRESS_CLASSES.flatMap((kind) => good.filter((each) => each.class === kind)).slice(0, MAX_ADDRS),
  );
  return { kept: good.filter((each) => best.has(each)).map(({ addr }) => addr), dropped: counts };
}

/** The trimmed address with its class, or the reason to drop it. */
function checkAddr(
  given: unknown,
  peerId: string,
  dropPrivate: boolean,
): { readonly addr: string; readonly class: AddressClass } | AddressDrop {
  if (typeof given !== 'string') return 'mistyped';
  const addr = given.trim();
  if (Buffer.byteLength(addr) > MAX_ADDR_BYTES) return 'too_long';
  const components = readComponents(addr);
  if (components === undefined) return 'not_a_multiaddr';
  const target = targetPeer(components);
  if (target !== undefined && target !== peerId && canonicalPeerId(target) !== peerId) return 'foreign';
  if (!isCircuit(components)) {
    if (isUnreachable(components)) return 'unreachable';
    if (dropPrivate && isPrivate(components)) return 'private';
  }
  return { addr, class: addressClass(components) };
}

/** The components of a multiaddr, or `undefined`; stricter than the library on spaces and on peer ids. */
function readComponents(addr: string): Component[] | undefined {
  if (!addr.startsWith('/') || addr.startsWith('//') || /[\s\p{Cc}\p{Cs}]/u.test(addr)) return undefined;
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
