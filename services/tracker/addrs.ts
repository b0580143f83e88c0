// Which of a device's addresses are kept, as pure rules: no clock, no network, no configuration but one switch.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Component, multiaddr } from '@multiformats/multiaddr';
import { MAX_ADDR_BYTES, MAX_ADDRS } from '../shared/contract.ts';
import { canonicalPeerId } from './peerid.ts';

/** What became of a registration's addresses: those kept and how many were dropped, or why all are refused. */
export type AddrsVerdict =
  | { readonly kept: readonly string[]; readonly dropped: number }
  | {
      readonly refusal: 'too_many_addresses' | 'invalid_address' | 'foreign_address';
      readonly detail: string;
    };

/** Addresses that reach nothing from another network: RFC 1918, 6598, 3927, 4193, 4291. */
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

/** How unspecified addresses are spelled once a multiaddr was read; the last is IPv4-mapped. */
const UNSPECIFIED = new Set(['0.0.0.0', '::', '::ffff:0:0', '::ffff:0.0.0.0']);

/**
 * Judges the addresses of one registration. Surrounding space is trimmed, empty texts are left out, and an
 * address on which nobody can be reached (unspecified host, port 0) is dropped and counted. Anything else that
 * is wrong refuses the whole registration and names the index, because the device is mistaken about itself.
 *
 * @param peerId canonical id of the peer that registers
 * @param dropPrivate drop private and loopback addresses too; they are kept by default because LAN grids need them
 */
export function judgeAddrs(given: readonly string[], peerId: string, dropPrivate: boolean): AddrsVerdict {
  if (given.length > MAX_ADDRS)
    return {
      refusal: 'too_many_addresses',
      detail: `addrs has ${given.length} items, the most is ${MAX_ADDRS}`,
    };
  const kept: string[] = [];
  let dropped = 0;
  for (const [index, text] of given.entries()) {
    const addr = text.trim();
    if (addr === '') continue;
    if (Buffer.byteLength(addr) > MAX_ADDR_BYTES)
      return { refusal: 'invalid_address', detail: `addrs[${index}] is longer than ${MAX_ADDR_BYTES} bytes` };
    const components = readComponents(addr);
    if (components === undefined)
      return { refusal: 'invalid_address', detail: `addrs[${index}] is not a multiaddr` };
    const target = targetPeer(components);
    if (target !== undefined && target !== peerId && canonicalPeerId(target) !== peerId)
      return { refusal: 'foreign_address', detail: `addrs[${index}] ends at another peer than peer_id` };
    if (components.some((part) => isUnreachable(part) || (dropPrivate && isPrivate(part)))) dropped += 1;
    else kept.push(addr);
  }
  return { kept, dropped };
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

/** The peer an address ends at, if it names one; a peer before the last `p2p-circuit` is only the relay. */
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
  // A BlockList judges an IPv4-mapped address by the IPv4 rules.
  if (name === 'ip6') return isIPv6(value) && privateNetworks.check(value, 'ipv6');
  return name.startsWith('dns') && /(^|\.)localhost\.?$/i.test(value);
}
