// Classifies multiaddrs by who can connect to them. Pure functions. Those that read the text of an address do not parse
// it, because they are applied to every address of long lists; what they return for an invalid address does not matter.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { Component } from '@multiformats/multiaddr';

/**
 * Classes of addresses, the most useful first: an address over the limit of a registration is dropped from the last
 * class that has one.
 */
export const ADDRESS_CLASSES = ['circuit', 'public', 'private_ipv4', 'rest'] as const;

export type AddressClass = (typeof ADDRESS_CLASSES)[number];

type Host = Pick<Component, 'name' | 'value'>;

/** Networks of one kind. IPv4 is matched as text, because a BlockList is slow and a listing has thousands of addresses. */
interface Networks {
  readonly ipv4: RegExp;
  readonly ipv6: BlockList;
}

function networks(ipv4: RegExp, ...ipv6: readonly [network: string, prefix: number][]): Networks {
  const list = new BlockList();
  for (const [network, prefix] of ipv6) list.addSubnet(network, prefix, 'ipv6');
  return { ipv4, ipv6: list };
}

const loopback = networks(/^127\./, ['::1', 128]);

/** IPv4 networks that other devices of the same LAN or tailnet can reach: RFC 1918 and 6598. */
const privateIpv4 = networks(
  /^(10|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./,
);

/** Other networks whose addresses are unreachable from other networks: loopback, RFC 3927, 4193, 4291. */
const otherPrivate = networks(/^(127|169\.254)\./, ['::1', 128], ['fc00::', 7], ['fe80::', 10]);

/** Hosts to which no device can connect: unspecified, broadcast and multicast. */
const unreachable = networks(/^(0|22[4-9]|23\d)\.|^255\.255\.255\.255$/, ['::', 128], ['ff00::', 8]);

/** Whether the address is a circuit: its relay forwards connections, so the hosts in it are those of the relay. */
export function isCircuit(components: readonly Component[]): boolean {
  return components.some(({ name }) => name === 'p2p-circuit');
}

/** The same for the text of an address. */
function isCircuitText(addr: string): boolean {
  return addr.includes('/p2p-circuit');
}

/** The first host of an address: the name of its component and its value. */
const HOST = /\/(?<name>ip4|ip6|dns\w*)\/(?<value>[^/]+)/;

function hostOf(addr: string): Host | undefined {
  const { name, value } = HOST.exec(addr)?.groups ?? {};
  return name === undefined || value === undefined ? undefined : { name, value };
}

/** The class of the text of an address. */
export function addressClass(addr: string): AddressClass {
  if (isCircuitText(addr)) return 'circuit';
  const host = hostOf(addr);
  if (host === undefined || isIn(otherPrivate, host) || isLocalName(host)) return 'rest';
  return isIn(privateIpv4, host) ? 'private_ipv4' : 'public';
}

/** Whether the text of an address is that of a direct address that reaches only the device that dials it. */
export function isDirectLoopback(addr: string): boolean {
  if (isCircuitText(addr)) return false;
  const host = hostOf(addr);
  return host !== undefined && (isIn(loopback, host) || isLocalName(host));
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

/** Whether an IP address, in any notation, is a loopback address. */
export function isLoopbackIp(address: string): boolean {
  return isIn(loopback, { name: isIPv4(address) ? 'ip4' : 'ip6', value: address });
}

function isIn({ ipv4, ipv6 }: Networks, { name, value = '' }: Host): boolean {
  if (name === 'ip4') return ipv4.test(value);
  if (name !== 'ip6' || !isIPv6(value)) return false;
  const mapped = mappedIpv4(value);
  return mapped === undefined ? ipv6.check(value, 'ipv6') : ipv4.test(mapped);
}

/** The IPv4 address in an IPv4-mapped IPv6 address (`::ffff:127.0.0.1` or `::ffff:7f00:1`). */
function mappedIpv4(address: string): string | undefined {
  if (!/^[0:]*:ffff:/i.test(address)) return undefined;
  const host = new URL(`http://[${address}]`).hostname;
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const groups = [high, low].map((group) => Number.parseInt(group, 16));
  return groups.flatMap((group) => [group >> 8, group & 255]).join('.');
}

function isDns(name: string): boolean {
  return name.startsWith('dns');
}

/** A name that every device resolves to itself (RFC 6761 section 6.3). */
function isLocalName({ name, value = '' }: Host): boolean {
  return isDns(name) && /(^|\.)localhost\.?$/i.test(value);
}
