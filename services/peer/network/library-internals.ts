// The members of libp2p that we use although they are not part of its public API. They are checked when a node is
// created, so that the error after an upgrade of the library names a removed member.
import type { MultiaddrConnection, PeerData, PeerId, PeerStore } from '@libp2p/interface';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import { PROTECTION_OUTCOME, PROTECTION_START, type ProgressEvent } from './dial-report.ts';

/** A reservation that a relay granted. */
export interface Reservation {
  /** The addresses of the relay, as it reports them, as bytes of multiaddrs. */
  readonly addrs: Uint8Array[];
  /** Expiry in Unix seconds. The library renews only reservations that expire within ten minutes. */
  expire: bigint;
}

/** What the library keeps of a reservation. */
interface AddedRelay {
  /** The timer that renews the reservation. */
  readonly details: { readonly timeout: NodeJS.Timeout };
}

/** The members of the library's reservation store that we use; its class is not exported. */
export interface ReservationStore extends EventTarget {
  addRelay(relay: PeerId, type: 'configured'): Promise<AddedRelay>;
  getReservation(relay: PeerId): Reservation | undefined;
}

/** A member that we use is missing: the library was upgraded to a version that we do not support. */
export class LibraryMemberError extends Error {
  override readonly name = 'LibraryMemberError';
  readonly code = 'LIBRARY_MEMBER_MISSING';

  constructor(packageName: string, member: string) {
    super(
      `${packageName}: this version has no ${member}, which services/peer/network/library-internals.ts uses. ` +
        'Install the version that package.json pins, or adapt that file.',
    );
  }
}

/**
 * The reservation store of a circuit transport, with two changes:
 *
 * - The library never dials a relay again in this process after one failed dial or one response without the hop
 *   protocol, and a relay that restarts causes both. The filter that holds these relays is replaced by an empty one.
 * - The library computes the lifetime of a reservation with the clock of this machine. One that has ended by that clock
 *   is an error, because it is saved as a negative number, and one that ends soon is renewed in a loop. The lifetime is
 *   not saved, and the timer of the library is cleared; `reservation.ts` renews.
 *
 * @throws LibraryMemberError
 */
export function takeReservationStore(transport: object): ReservationStore {
  const packageName = '@libp2p/circuit-relay-v2';
  const transportName = 'CircuitRelayTransport';
  const store = requireMember(transport, 'reservationStore', 'object', packageName, transportName) as object;
  const owner = 'ReservationStore';
  for (const name of ['addRelay', 'getReservation', 'addEventListener', 'removeEventListener'])
    requireMember(store, name, 'function', packageName, owner);
  const filter = requireMember(store, 'relayFilter', 'object', packageName, owner) as object;
  for (const name of ['add', 'has'])
    requireMember(filter, name, 'function', packageName, `${owner}.relayFilter`);
  const peerStore = requireMember(store, 'peerStore', 'object', packageName, owner) as PeerStore;
  for (const name of ['all', 'merge'])
    requireMember(peerStore, name, 'function', packageName, `${owner}.peerStore`);
  const reservations = store as ReservationStore;
  const addRelay = reservations.addRelay.bind(reservations);
  return Object.assign(reservations, {
    relayFilter: { add: () => {}, has: () => false },
    peerStore: {
      all: async (...args: Parameters<PeerStore['all']>) => peerStore.all(...args),
      merge: async (peer: PeerId, data: PeerData) => peerStore.merge(peer, withoutLifetimes(data)),
    },
    async addRelay(...args: Parameters<typeof addRelay>) {
      const added = await addRelay(...args);
      clearTimeout(added.details.timeout);
      return added;
    },
  });
}

/** The data without the times at which its tags expire. */
function withoutLifetimes({ tags, ...data }: PeerData): PeerData {
  if (tags === undefined || tags instanceof Map) return { ...data, ...(tags && { tags }) };
  const kept = Object.entries(tags).map(([name, tag]) => [name, tag && { value: tag.value ?? 0 }] as const);
  return { ...data, tags: Object.fromEntries(kept) };
}

interface UpgradeOptions {
  readonly onProgress?: (event: ProgressEvent) => void;
}

type Upgrade = (connection: MultiaddrConnection, options: UpgradeOptions) => Promise<unknown>;

/** Reports the swarm key protection of outbound connections to the progress listener of their dial. */
export interface ProtectionProgress {
  /** Wraps the upgrader, so that each dial reports when the protection starts. @throws LibraryMemberError */
  watch(upgrader: object): void;
  /** For the protector's `onOutcome`. */
  onOutcome(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
}

export function createProtectionProgress(): ProtectionProgress {
  const listeners = new WeakMap<MultiaddrConnection, (event: ProgressEvent) => void>();
  return {
    watch(upgrader) {
      const member = requireMember(upgrader, 'upgradeOutbound', 'function', 'libp2p', 'Upgrader');
      const upgrade = (member as Upgrade).bind(upgrader);
      const upgradeOutbound: Upgrade = async (connection, options) => {
        if (options.onProgress !== undefined) listeners.set(connection, options.onProgress);
        options.onProgress?.({ type: PROTECTION_START });
        return upgrade(connection, options);
      };
      Object.assign(upgrader, { upgradeOutbound });
    },
    onOutcome: (outcome, connection) =>
      listeners.get(connection)?.({ type: PROTECTION_OUTCOME, detail: outcome }),
  };
}

function requireMember(
  object: object,
  name: string,
  type: 'object' | 'function',
  packageName: string,
  owner: string,
): unknown {
  const value: unknown = Reflect.get(object, name);
  if (typeof value !== type || value === null) throw new LibraryMemberError(packageName, `${owner}.${name}`);
  return value;
}
