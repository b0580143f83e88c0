// The connection of this device to a relay: circuits and reservations share it, whichever address of the relay it uses.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { toError } from '../../shared/errors.ts';
import { aborted } from '../../shared/signals.ts';
import { peerIdOf } from './addresses.ts';
import { race } from './dial-race.ts';
import type { ProgressEvent } from './dial-report.ts';
import type { DialOptions, PeerLibp2p, PeerNode } from './node.ts';
import { pingRelay } from './relay-ping.ts';

/** Deadline of the ping of a relay after a circuit through it timed out, in milliseconds. */
const PING_TIMEOUT_MS = 3_000;

/**
 * Time after which the next address of a relay is tried although the one before has not failed, in milliseconds. It is
 * longer than most handshakes, so that a relay gets one connection.
 */
const ADDRESS_STAGGER_MS = 1_000;

/** The addresses of one relay, each ending in its peer id, the preferred one first. Never empty. */
export type RelayAddresses = readonly string[];

/** Connections to relays that are being opened, by peer id. Callers that want the same relay share one. */
const openings = new WeakMap<PeerLibp2p, Map<string, Opening>>();

interface Opening {
  readonly addresses: RelayAddresses;
  readonly connection: Promise<Connection>;
  /** Listeners of the callers that wait. When none is left, the attempt is canceled. */
  readonly listeners: Set<(event: ProgressEvent) => void>;
  readonly canceled: AbortController;
}

/** Returns the open connection to a relay, or opens one to the first of its addresses that answers. */
export async function openRelay(
  node: Pick<PeerNode, 'libp2p' | 'dial'>,
  addresses: RelayAddresses,
  options: DialOptions,
): Promise<Connection> {
  const peerId = relayPeerId(addresses);
  const key = peerId.toString();
  for (;;) {
    const open = findOpen(node.libp2p, peerId);
    if (open !== undefined) return open;
    const ongoing = openings.get(node.libp2p)?.get(key);
    const opening = ongoing ?? startOpening(node, key, addresses, options.lookup);
    try {
      return await waitFor(opening, options);
    } catch (error) {
      // Another caller has tried other addresses.
      const isTried = addresses.every((address) => opening.addresses.includes(address));
      if (isTried || options.signal.aborted) throw error;
    }
  }
}

function findOpen(libp2p: PeerLibp2p, peerId: PeerId): Connection | undefined {
  // The circuit transport uses the first connection to the relay, even when it is closing.
  for (const connection of libp2p.getConnections(peerId))
    if (connection.status !== 'open')
      connection.abort(new Error('The connection was replaced by a new one.'));
  return libp2p.getConnections(peerId).find(({ status }) => status === 'open');
}

function startOpening(
  node: Pick<PeerNode, 'libp2p' | 'dial'>,
  key: string,
  addresses: RelayAddresses,
  lookup: DialOptions['lookup'],
): Opening {
  const canceled = new AbortController();
  const listeners: Opening['listeners'] = new Set();
  const onProgress = (event: ProgressEvent): void => listeners.forEach((listener) => listener(event));
  const ofNode = openings.get(node.libp2p) ?? new Map<string, Opening>();
  openings.set(node.libp2p, ofNode);
  const connection = dialFirst(node, addresses, { signal: canceled.signal, onProgress, lookup }).finally(
    () => {
      if (ofNode.get(key) === opening) ofNode.delete(key);
    },
  );
  // The callers that wait handle a failure. There may be none left.
  connection.catch(() => {});
  const opening: Opening = { addresses, connection, listeners, canceled };
  ofNode.set(key, opening);
  return opening;
}

async function waitFor(opening: Opening, { signal, onProgress }: DialOptions): Promise<Connection> {
  const listener = (event: ProgressEvent): void => onProgress(event);
  opening.listeners.add(listener);
  try {
    const stopped = aborted(signal).then(() => signal.throwIfAborted() as never);
    return await Promise.race([opening.connection, stopped]);
  } finally {
    opening.listeners.delete(listener);
    if (opening.listeners.size === 0) opening.canceled.abort(new Error('No caller waits for the relay.'));
  }
}

/** @throws Error of the only address, or AggregateError of all */
async function dialFirst(
  { libp2p, dial }: Pick<PeerNode, 'libp2p' | 'dial'>,
  addresses: RelayAddresses,
  { signal, onProgress, lookup }: DialOptions,
): Promise<Connection> {
  const errors: unknown[] = [];
  const connection = await race([{ candidates: addresses, delayMs: 0, staggerMs: ADDRESS_STAGGER_MS }], {
    async attempt(text, stop) {
      const address = multiaddr(text);
      const options = { signal: stop, onProgress, lookup };
      try {
        // Only the dial queue of the library resolves this kind of name.
        return await (text.startsWith('/dnsaddr/')
          ? libp2p.dial(address, { ...options, force: true })
          : dial(address, options));
      } catch (error) {
        errors.push(error);
        return undefined;
      }
    },
    discard: (loser) => loser.abort(new Error('Another address of the relay was faster.')),
    signal,
    sleep: async (milliseconds, stop) => sleep(milliseconds, undefined, { signal: stop }),
  });
  if (connection !== undefined) return connection;
  signal.throwIfAborted();
  if (errors.length === 1) throw errors[0];
  throw new AggregateError(errors, 'No address of the relay led to it.');
}

/**
 * Aborts the connection to an unresponsive relay (a laptop in another network), so that the next attempt opens a new
 * one. A connection with streams is kept, because their data may delay the response.
 */
export async function abortDeadRelay(libp2p: PeerLibp2p, relay: string): Promise<void> {
  const peerId = relayPeerId([relay]);
  const idle = libp2p.getConnections(peerId).filter(({ streams }) => streams.length === 0);
  if (idle.length === 0) return;
  try {
    await pingRelay(libp2p, peerId, AbortSignal.timeout(PING_TIMEOUT_MS));
  } catch (error) {
    for (const connection of idle) connection.abort(toError(error));
  }
}

function relayPeerId([first = '']: RelayAddresses): PeerId {
  return peerIdFromString(peerIdOf(first) ?? '');
}
