// Checks the addresses of a registration. Pure functions.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Component, multiaddr } from '@multiformats/multiaddr';
import { MAX_ADDR_BYTES, MAX_ADDRS } from '../shared/contract.ts';
import type { Result } from '../shared/result.ts';
import { canonicalPeerId } from './peerid.ts';
import type { ProblemCode } from './problems.ts';

/** The kept addresses and the number of dropped ones, or the reason to refuse the registration. */
export type CheckedAddrs = Result<
  { readonly kept: readonly string[]; readonly dropped: number },
  AddrsRefusal,
  { readonly detail: string }
>;

type AddrsRefusal = Extract<ProblemCode, 'too_many_addresses' | 'invalid_address' | 'foreign_address'>;

/** Networks whose addresses are unreachable from other networks: RFC 1918, 6598, 3927, 4193, 4291. */
const privateNetworks = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const)
  privateNetworks.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  privateNetworks.addSubnet(network, prefix, 'ipv6');

/** The spellings of unspecified addresses in a parsed multiaddr; the last is IPv4-mapped. */
const UNSPECIFIED = new Set(['0.0.0.0', '::', '::ffff:0:0', '::ffff:0.0.0.0']);

/**
 * Checks the addresses of one registration. Surrounding space is trimmed and empty texts are skipped. An address to
 * which no device can connect (unspecified host, port 0) is dropped and counted. With any other invalid
 * address the whole registration is refused with its index, because the device does not know its own addresses.
 *
 * @param peerId canonical id of the peer that registers
 * @param dropPrivate whether to drop private and loopback addresses too; by default they are kept, because devices in
 *   the same LAN need them
 */
export function checkAddrs(given: readonly string[], peerId: string, dropPrivate: boolean): CheckedAddrs {
  if (given.length > MAX_ADDRS)
    return refuse('too_many_addresses', `addrs has ${given.length} items; the maximum is ${MAX_ADDRS}`);
  const kept: string[] = [];
  let dropped = 0;
  for (const [index, text] of given.entries()) {
    const addr = text.trim();
    if (addr === '') continue;
    if (Buffer.byteLength(addr) > MAX_ADDR_BYTES)
      return refuse('invalid_address', `addrs[${index}] is longer than ${MAX_ADDR_BYTES} bytes`);
    const components = readComponents(addr);
    if (components === undefined) return refuse('invalid_address', `addrs[${index}] is not a multiaddr`);
    const target = targetPeer(components);
    if (target !== undefined && target !== peerId && canonicalPeerId(target) !== peerId)
      return refuse('foreign_address', `addrs[${index}] ends at a peer other than peer_id`);
    if (components.some((each) => isUnreachable(each) || (dropPrivate && isPrivate(each)))) dropped += 1;
    else kept.push(addr);
  }
  return { ok: true, kept, dropped };
}

function refuse(reason: AddrsRefusal, detail: string): CheckedAddrs {
  return { ok: false, reason, detail };
}

/** The components of a multiaddr, or `undefined`; stricter than the library on spaces and on peer ids. */
function readComponents(addr: string): Component[] | undefined {
  if (addr.startsWith('//') || /[\s\p{Cc}\p{Cs}]/u.test(addr)) return undefined;
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

function isUnreachable({ name, value }: Component): boolean {
  if (name === 'ip4' || name === 'ip6') return UNSPECIFIED.has(value ?? '');
  return (name === 'tcp' || name === 'udp') && value === '0';
}

function isPrivate({ name, value = '' }: Component): boolean {
  if (name === 'ip4') return isIPv4(value) && privateNetworks.check(value, 'ipv4');
  // A BlockList applies the IPv4 rules to an IPv4-mapped address.
  if (name === 'ip6') return isIPv6(value) && privateNetworks.check(value, 'ipv6');
  return name.startsWith('dns') && /(^|\.)localhost\.?$/i.test(value);
}
