// The members of libp2p that we use although they are not part of its public API. They are checked when a node is
// created, so that the error after an upgrade of the library names a removed member.
import type { MultiaddrConnection, PeerId } from '@libp2p/interface';
import type { ProtectionOutcome } from '../../private-network/psk.ts';
import { PROTECTION_OUTCOME, PROTECTION_START, type ProgressEvent } from './dial-report.ts';

/** A reservation that a relay granted. */
export interface Reservation {
  /** The addresses of the relay, as it reports them, as bytes of multiaddrs. */
  readonly addrs: Uint8Array[];
  /** Expiry in Unix seconds. The library renews only reservations that expire within ten minutes. */
  expire: bigint;
}

/** The members of the library's reservation store that we use; its class is not exported. */
export interface ReservationStore extends EventTarget {
  addRelay(relay: PeerId, type: 'configured'): Promise<unknown>;
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
 * The reservation store of a circuit transport. The library never dials a relay again in this process after one
 * failed dial or one response without the hop protocol, and a relay that restarts causes both. The filter that holds
 * these relays is replaced by one that is always empty.
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
  return Object.assign(store as ReservationStore, { relayFilter: { add: () => {}, has: () => false } });
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
