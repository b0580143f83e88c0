// The records of the registry in the memory of one process, and the listings that they are in. A hundred thousand records exist, so
// the number of their objects and fields is the memory of a tracker.
import { LinkedList } from '../../shared/linked-list.ts';
import type { ListedPeer, Page, Registration } from './registry.ts';
import { isHubOf } from './star.ts';

/**
 * A live registration, which is also what lists it. One exists per device for as long as it registers, and each registration
 * changes only its times and its places in two lists, so a heartbeat leaves nothing to collect. Of its numbers only
 * `seenUnixMicros` is too large for V8 to keep it in its field; each of those takes 16 bytes more.
 */
export class MemoryRecord implements ListedPeer, Registration {
  readonly peerId: string;
  readonly userId: string | null;
  readonly deviceId: string | null;
  readonly hostname: string | null;
  readonly relays: number;
  readonly json: string;
  readonly scope: Scope | undefined;
  /** Whether a token of a hub made it, also without a user: `isHub` of the registration, which means less than `isHub` of a listed peer. */
  readonly isOfHubToken: boolean;
  seenUnixMicros = 0;
  /** In whole milliseconds since the registry was created, by the monotonic clock. */
  expiresMs = 0;
  /** How much later than `seenUnixMicros` its last registration was by the clock of the claims. */
  claimLagMicros = 0;
  /** The time from its last stored claims until its last registration, by the clock of the claims. */
  unstoredMicros = 0;
  previousOfAll: MemoryRecord | undefined = undefined;
  nextOfAll: MemoryRecord | undefined = undefined;
  previousOfUser: MemoryRecord | undefined = undefined;
  nextOfUser: MemoryRecord | undefined = undefined;

  constructor(registration: Registration, scope: Scope | undefined) {
    this.peerId = registration.peerId;
    this.userId = registration.userId;
    this.deviceId = registration.deviceId;
    this.hostname = registration.hostname;
    this.relays = registration.relays ?? 0;
    this.json = registration.json;
    this.scope = scope;
    this.isOfHubToken = registration.isHub === true;
  }

  /** Whether it is a hub of its user. */
  get isHub(): boolean {
    return isHubOf({ isHub: this.isOfHubToken, userId: this.userId });
  }

  /** The time of its last registration by the clock of the claims. */
  get claimedMicros(): number {
    return this.seenUnixMicros + this.claimLagMicros;
  }
}

/**
 * The same number. The difference of two numbers that are too large for a field is an object of V8, whatever its value; the
 * result of `floor` is not, if it fits in 32 bits.
 */
export function smallInteger(integer: number): number {
  return Math.floor(integer);
}

/** The records of one listing in the order of their last registration, with their page until one of them changes. */
export class Scope {
  readonly userId: string | undefined;
  readonly records: LinkedList<MemoryRecord>;
  hubs = 0;
  page: Page | undefined = undefined;
  /** Another object when a record was added or removed. */
  content: object = {};

  constructor(userId: string | undefined) {
    this.userId = userId;
    this.records = new LinkedList(
      userId === undefined ? ['previousOfAll', 'nextOfAll'] : ['previousOfUser', 'nextOfUser'],
    );
  }

  /** Whether a user has one device. A hub does not count: it stays when the devices are off. */
  isSingle(): boolean {
    return this.records.size === 1 && this.hubs === 0;
  }

  newestFirst(): MemoryRecord[] {
    const { records } = this;
    const found: MemoryRecord[] = [];
    for (let record = records.last; record !== undefined; record = records.before(record)) found.push(record);
    return found;
  }
}
