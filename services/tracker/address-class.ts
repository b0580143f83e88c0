// Classifies multiaddrs by who can connect to them. Pure functions.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { Component } from '@multiformats/multiaddr';

/**
 * Classes of addresses, the most useful first: an address over the limit of a registration is dropped from the last
 * class that has one.
 */
export const ADDRESS_CLASSES = ['circuit', 'public', 'private_ipv4', 'rest'] as const;

export type AddressClass = (typeof ADDRESS_CLASSES)[number];

type Family = 'ipv4' | 'ipv6';

function networks(...given: readonly [address: string, prefix: number, family: Family][]): BlockList {
  const list = new BlockList();
  for (const [address, prefix, family] of given) list.addSubnet(address, prefix, family);
  return list;
}

const LOOPBACK: readonly [string, number, Family][] = [
  ['127.0.0.0', 8, 'ipv4'],
  ['::1', 128, 'ipv6'],
];
const loopback = networks(...LOOPBACK);

/** IPv4 networks that other devices of the same LAN or tailnet can reach: RFC 1918 and 6598. */
const privateIpv4 = networks(
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
);

/** Other networks whose addresses are unreachable from other networks: loopback, RFC 3927, 4193, 4291. */
const otherPrivate = networks(
  ...LOOPBACK,
  ['169.254.0.0', 16, 'ipv4'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
);

/** Hosts to which no device can connect: unspecified, broadcast and multicast. */
const unreachable = networks(
  ['0.0.0.0', 8, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['255.255.255.255', 32, 'ipv4'],
  ['::', 128, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
);

/** Whether the address is a circuit: its relay forwards connections, so the hosts in it are those of the relay. */
export function isCircuit(components: readonly Component[]): boolean {
  return components.some(({ name }) => name === 'p2p-circuit');
}

export function addressClass(components: readonly Component[]): AddressClass {
  if (isCircuit(components)) return 'circuit';
  const host = components.find(({ name }) => name === 'ip4' || name === 'ip6' || isDns(name));
  if (host === undefined || isIn(otherPrivate, host) || isLocalName(host)) return 'rest';
  return isIn(privateIpv4, host) ? 'private_ipv4' : 'public';
}

/** Whether no device can connect to the address directly. */
export function isUnreachable(components: readonly Component[]): boolean {
  return components.some(
    (each) => isIn(unreachable, each) || ((each.name === 'tcp' || each.name === 'udp') && each.value === '0'),
  );
}

/** Whether a direct address is reachable only in its own network: private, link-local or loopback. */
export function isPrivate(components: readonly Component[]): boolean {
  return components.some((each) => isIn(privateIpv4, each) || isIn(otherPrivate, each) || isLocalName(each));
}

/** Whether a direct address reaches only the device that dials it. */
export function isLoopback(components: readonly Component[]): boolean {
  return components.some((each) => isIn(loopback, each) || isLocalName(each));
}

/** Whether an IP address, in any notation, is a loopback address. */
export function isLoopbackIp(address: string): boolean {
  return isIPv4(address)
    ? loopback.check(address, 'ipv4')
    : isIPv6(address) && loopback.check(address, 'ipv6');
}

/** A BlockList applies the rules of IPv4 to an IPv4-mapped address. */
function isIn(list: BlockList, { name, value = '' }: Component): boolean {
  if (name === 'ip4') return isIPv4(value) && list.check(value, 'ipv4');
  return name === 'ip6' && isIPv6(value) && list.check(value, 'ipv6');
}

function isDns(name: string): boolean {
  return name.startsWith('dns');
}

/** A name that every device resolves to itself (RFC 6761 section 6.3). */
function isLocalName({ name, value = '' }: Component): boolean {
  return isDns(name) && /(^|\.)localhost\.?$/i.test(value);
}
