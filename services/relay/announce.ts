// The addresses that the relay announces. Every reservation contains exactly these addresses. If they are wrong,
// devices with a reservation on this relay are unreachable.
import { CODE_P2P, CODE_P2P_CIRCUIT, CODE_TCP, type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { describeError } from '../shared/errors.ts';
import { quote } from '../shared/variables.ts';

/** Maximum announced addresses. All of them are in every reservation message, whose maximum size is 4 KiB. */
export const MAX_ANNOUNCED = 16;

/** Maximum bytes of all announced addresses, peer ids included; the rest of a reservation message needs about 300. */
export const MAX_ANNOUNCED_BYTES = 3 * 1024;

/** Bytes of a peer id at the end of an address: the size for an Ed25519 key, which is the largest. */
const PEER_ID_BYTES = 41;

/** Multiaddr protocols for hosts that a device can dial. */
const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6', 'dnsaddr']);

/** Parses one announced address: a host and a TCP port, optionally followed by the relay's peer id. */
export function parseAnnounced(text: string): Multiaddr {
  const address = parseMultiaddr(text);
  const [host, port] = address.getComponents();
  if (host === undefined || !HOSTS.has(host.name) || port?.code !== CODE_TCP)
    throw new Error(`${quote(text)} is not a host and a TCP port, such as /dns4/relay.example.org/tcp/4001.`);
  if (port.value === '0') throw new Error(`${quote(text)} has port 0, which cannot be dialed.`);
  if (isUnspecified(address))
    throw new Error(
      `${quote(text)} has an unspecified address, which cannot be dialed; replace it with one address of this machine.`,
    );
  if (address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT))
    throw new Error(`${quote(text)} is the address of a circuit through another relay.`);
  return address;
}

/** The values of the placeholders in a template; `undefined` when the environment does not set them. */
export interface Placeholders {
  readonly ordinal: string | undefined;
  readonly podName: string | undefined;
  readonly podIP: string | undefined;
  readonly hostIP: string | undefined;
}

/**
 * Replaces the placeholders of a template, such as `/dns4/relay-{ordinal}.example.org/tcp/4001`, and parses the
 * address.
 */
export function expandAnnounced(template: string, placeholders: Placeholders): Multiaddr {
  const text = template.replaceAll(/\{([^{}]*)\}/g, (_, name: string) => {
    if (!Object.hasOwn(placeholders, name))
      throw new Error(
        `${quote(template)} has the unknown placeholder {${name}}; known placeholders are {${Object.keys(placeholders).join('}, {')}}.`,
      );
    const value = placeholders[name as keyof Placeholders];
    if (value === undefined)
      throw new Error(
        `${quote(template)} uses {${name}}, which has no value; set ${PLACEHOLDER_VARIABLES[name as keyof Placeholders]}.`,
      );
    return value;
  });
  return parseAnnounced(text);
}

const PLACEHOLDER_VARIABLES: Record<keyof Placeholders, string> = {
  ordinal: 'RELAY_IDENTITY_ORDINAL or RELAY_POD_NAME',
  podName: 'RELAY_POD_NAME',
  podIP: 'RELAY_POD_IP',
  hostIP: 'RELAY_HOST_IP',
};

/** The ordinal of a StatefulSet's pod: 2 for `relay-2`. */
export function ordinalOf(podName: string | undefined): number | undefined {
  const digits = /-(\d{1,5})$/.exec(podName ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Parses a listen address: an IP address and a TCP port. */
export function parseListen(text: string): Multiaddr {
  const address = parseMultiaddr(text);
  const [host, port, ...rest] = address.getComponents();
  if ((host?.name !== 'ip4' && host?.name !== 'ip6') || port?.code !== CODE_TCP || rest.length > 0)
    throw new Error(`${quote(text)} is not an IP address and a TCP port, such as /ip4/0.0.0.0/tcp/4001.`);
  return address;
}

/**
 * Default announced addresses: the listen addresses that other devices can dial.
 *
 * @param isLocal whether all devices are on this machine and can dial loopback addresses
 */
export function dialable(addresses: readonly Multiaddr[], isLocal: boolean): Multiaddr[] {
  return addresses
    .filter((address) => !isUnspecified(address) && (isLocal || !isLoopback(address)))
    .slice(0, MAX_ANNOUNCED);
}

/**
 * The announced addresses that the relay serves: without IPv6 if it should listen on IPv6 and this machine has none. What
 * a relay that listens only on IPv4 announces is served by something in front of it.
 *
 * @param withoutIpv6 the addresses that are not listened on because this machine has no IPv6
 */
export function served(
  { listen, announce }: { readonly listen: readonly Multiaddr[]; readonly announce: readonly Multiaddr[] },
  withoutIpv6: readonly string[],
): Multiaddr[] {
  const listening = listen.filter((address) => isIpv6(address) && !withoutIpv6.includes(address.toString()));
  if (withoutIpv6.length === 0 || listening.length > 0) return [...announce];
  return announce.filter((address) => !isIpv6(address));
}

/** Bytes of these addresses in a reservation message, each followed by the peer id. */
export function announcedBytes(addresses: readonly Multiaddr[]): number {
  return addresses.reduce((sum, { bytes }) => sum + bytes.length + PEER_ID_BYTES, 0);
}

/** Whether an announced address ends in the peer id of another peer. */
export function namesOtherPeer(address: Multiaddr, peerId: string): boolean {
  const named = address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value;
  return named !== undefined && named !== peerId;
}

function parseMultiaddr(text: string): Multiaddr {
  try {
    // Decoded again, because the library checks a peer id only when it encodes the address.
    return multiaddr(multiaddr(text).bytes);
  } catch (error) {
    throw new Error(`${quote(text)} is not a multiaddr: ${describeError(error)}.`, { cause: error });
  }
}

function isIpv6(address: Multiaddr): boolean {
  const name = address.getComponents()[0]?.name;
  return name === 'ip6' || name === 'dns6';
}

function isLoopback(address: Multiaddr): boolean {
  const host = address.getComponents()[0];
  return host?.name === 'ip4' ? (host.value ?? '').startsWith('127.') : host?.value === '::1';
}

function isUnspecified(address: Multiaddr): boolean {
  const value = address.getComponents()[0]?.value;
  return value === '0.0.0.0' || value === '::';
}
