// The addresses that the relay announces: those of its configuration, or those on which it listens.
import { networkInterfaces } from 'node:os';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { monotonicMs } from '../../shared/clock.ts';
import { dialable, served } from '../announce.ts';
import type { RelayConfig } from '../config.ts';

/** Time after which the addresses of the network interfaces are read again, in milliseconds. */
const MAX_AGE_MS = 1_000;

/** Names of IP families, by the protocol of a multiaddr. */
const FAMILIES: Readonly<Record<string, string>> = { ip4: 'IPv4', ip6: 'IPv6' };

export interface AddressesOptions {
  readonly config: Pick<RelayConfig, 'listen' | 'announce' | 'isLocal'>;
  /** The text of the relay's peer id, which every announced address ends in. */
  readonly peerId: string;
  /** The addresses that are listened on, with the port that the system chose instead of 0. */
  listening(): readonly Multiaddr[];
  /** The addresses that are not listened on because this machine has no IPv6. */
  withoutIpv6(): readonly string[];
}

/**
 * Returns a function for the current addresses. Those of network interfaces may be a second old.
 *
 * @param nowMs monotonic clock
 */
export function createAddresses(
  options: AddressesOptions,
  nowMs: () => number = monotonicMs,
): () => Multiaddr[] {
  const { config } = options;
  let last: { readonly atMs: number; readonly addresses: Multiaddr[] } | undefined;

  function find(): Multiaddr[] {
    const listening = options.listening();
    if (listening.length === 0) return [];
    const { listen, announce, isLocal } = config;
    const found =
      announce.length > 0
        ? served({ listen, announce }, options.withoutIpv6())
        : dialable(listening.flatMap(expand), isLocal);
    const texts = new Set(found.map((address) => withPeerId(address.toString(), options.peerId)));
    return Array.from(texts, (text) => multiaddr(text));
  }

  return () => {
    if (last === undefined || last.addresses.length === 0 || nowMs() - last.atMs >= MAX_AGE_MS)
      last = { atMs: nowMs(), addresses: find() };
    return last.addresses;
  };
}

function withPeerId(address: string, peerId: string): string {
  return address.endsWith(`/p2p/${peerId}`) ? address : `${address}/p2p/${peerId}`;
}

/** All addresses of the network interfaces instead of an unspecified address. */
function expand(address: Multiaddr): Multiaddr[] {
  const [host, port] = address.getComponents();
  if (host?.value !== '0.0.0.0' && host?.value !== '::') return [address];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, address: ip }) => family === FAMILIES[host.name] && !isLinkLocal(ip))
    .map(({ address: ip }) => multiaddr(`/${host.name}/${ip}/tcp/${port?.value}`));
}

/** Addresses that are valid only in their own network segment. */
function isLinkLocal(ip: string): boolean {
  return ip.startsWith('169.254.') || ip.toLowerCase().startsWith('fe80');
}
