// Which addresses the relay hands out: a reservation carries exactly these, so a wrong one makes every device
// that reserved here unreachable.
import { CODE_P2P, CODE_P2P_CIRCUIT, CODE_TCP, type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { describeError } from '../shared/errors.ts';

/** Most addresses a relay announces; each goes into every reservation, which has 4 KiB. */
export const MAX_ANNOUNCED = 16;

/** Most bytes of all of them together, with the peer id behind each: the rest of a reservation takes some 300. */
export const MAX_ANNOUNCED_BYTES = 3 * 1024;

/** What a peer id takes at the end of an address, in bytes: the longest, of an Ed25519 key. */
const PEER_ID_BYTES = 41;

/** Names and addresses that a device can dial a relay by. */
const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6', 'dnsaddr']);

/**
 * Reads one address for devices to dial: a host and a TCP port, with or without the relay's peer id behind them.
 *
 * @throws Error that completes the sentence «RELAY_ANNOUNCE …».
 */
export function parseAnnounced(text: string): Multiaddr {
  const address = parseMultiaddr(text);
  const [host, port] = address.getComponents();
  if (host === undefined || !HOSTS.has(host.name) || port?.code !== CODE_TCP)
    throw new Error(
      `has ${text}, which must be a host and a TCP port such as /dns4/relay.example.org/tcp/4001`,
    );
  if (port.value === '0') throw new Error(`has ${text}, whose port 0 nobody can dial`);
  if (isUnspecified(address)) throw new Error(`has ${text}, which is every address and none: name one`);
  if (address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT))
    throw new Error(`has ${text}, which leads through another relay`);
  return address;
}

/** What a template for an address may name: where this replica runs. */
export interface Placeholders {
  readonly ordinal: string | undefined;
  readonly podName: string | undefined;
  readonly podIP: string | undefined;
  readonly hostIP: string | undefined;
}

/**
 * Puts in what a template names, such as `/dns4/relay-{ordinal}.example.org/tcp/4001`, and reads the address.
 *
 * @throws Error that completes the sentence «RELAY_ANNOUNCE …».
 */
export function expandAnnounced(template: string, placeholders: Placeholders): Multiaddr {
  const text = template.replaceAll(/\{([^{}]*)\}/g, (_, name: string) => {
    if (!Object.hasOwn(placeholders, name))
      throw new Error(
        `has ${template}, which names {${name}}; known are {${Object.keys(placeholders).join('}, {')}}`,
      );
    const value = placeholders[name as keyof Placeholders];
    if (value === undefined)
      throw new Error(
        `has ${template}, but what {${name}} stands for is not known: set ${PLACEHOLDER_VARIABLES[name as keyof Placeholders]}`,
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

/** The number a StatefulSet gives its pod: `relay-2` is 2. */
export function ordinalOf(podName: string | undefined): number | undefined {
  const digits = /-(\d{1,5})$/.exec(podName ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Reads an address to listen on. @throws Error that completes the sentence «RELAY_LISTEN …». */
export function parseListen(text: string): Multiaddr {
  const address = parseMultiaddr(text);
  const [host, port, ...rest] = address.getComponents();
  if ((host?.name !== 'ip4' && host?.name !== 'ip6') || port?.code !== CODE_TCP || rest.length > 0)
    throw new Error(`has ${text}, which must be an IP address and a TCP port such as /ip4/0.0.0.0/tcp/4001`);
  return address;
}

/**
 * The addresses of a relay that was told none: those it listens on that another device could dial.
 *
 * @param local whether the devices are on this machine, so that loopback addresses count.
 */
export function dialable(addresses: readonly Multiaddr[], local: boolean): Multiaddr[] {
  return addresses
    .filter((address) => !isUnspecified(address) && (local || !isLoopback(address)))
    .slice(0, MAX_ANNOUNCED);
}

/** How much of a reservation these addresses take, in bytes, each with the peer id behind it. */
export function announcedBytes(addresses: readonly Multiaddr[]): number {
  return addresses.reduce((sum, { bytes }) => sum + bytes.length + PEER_ID_BYTES, 0);
}

/** Whether an announced address names another peer than the relay itself. */
export function namesOtherPeer(address: Multiaddr, peerId: string): boolean {
  const named = address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value;
  return named !== undefined && named !== peerId;
}

function parseMultiaddr(text: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (error) {
    throw new Error(`has ${text}, which is no multiaddr: ${describeError(error)}`, { cause: error });
  }
}

function isLoopback(address: Multiaddr): boolean {
  const host = address.getComponents()[0];
  return host?.name === 'ip4' ? (host.value ?? '').startsWith('127.') : host?.value === '::1';
}

function isUnspecified(address: Multiaddr): boolean {
  const value = address.getComponents()[0]?.value;
  return value === '0.0.0.0' || value === '::';
}
