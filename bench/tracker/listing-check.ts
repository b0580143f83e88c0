// Checks listings of devices that register while they are listed: each must contain exactly these devices as they
// registered, the newest first, with every registration that was acknowledged before the listing was requested.
import type { BodyCheck, CheckedBody } from './answer-reader.ts';
import type { RrDevice } from './rr-devices.ts';

interface ListedDevice {
  readonly peer_id: string;
  readonly addrs: unknown;
  readonly meta: unknown;
  readonly last_seen: string;
  readonly last_seen_unix: number;
}

/** Maximum difference of the clock of this process and the times in a listing, in milliseconds: both are the same clock. */
const CLOCK_MS = 1;

/** The registrations of the listed devices while they are listed. They are numbered from 1. */
export class Heartbeats {
  /** The device and the time of each, by its number minus 1. */
  readonly sent: Array<{ readonly peerId: string; readonly unixMs: number }> = [];
  /** All up to this number were acknowledged. */
  acknowledged = 0;
  readonly #early = new Set<number>();

  /** @returns its number */
  send(peerId: string): number {
    return this.sent.push({ peerId, unixMs: Date.now() });
  }

  acknowledge(number: number): void {
    this.#early.add(number);
    while (this.#early.delete(this.acknowledged + 1)) this.acknowledged += 1;
  }
}

export class ListingCheck implements BodyCheck {
  readonly status = 200;
  probable: CheckedBody;
  readonly #expected: ReadonlyMap<string, string>;
  readonly #heartbeats: Heartbeats;

  constructor(devices: readonly RrDevice[], heartbeats: Heartbeats) {
    this.#expected = new Map(
      devices.map(({ peerId, addrs, meta }) => [peerId, JSON.stringify([addrs, sorted(meta)])]),
    );
    this.#heartbeats = heartbeats;
    this.probable = { bytes: Buffer.alloc(0), reflects: -1 };
  }

  check(body: Buffer): CheckedBody {
    const { peers } = JSON.parse(body.toString()) as { readonly peers: readonly ListedDevice[] };
    if (peers.length !== this.#expected.size)
      throw new Error(`A listing has ${peers.length} devices instead of ${this.#expected.size}.`);
    const seenUnixMs = new Map<string, number>();
    let newer = Number.POSITIVE_INFINITY;
    for (const peer of peers) {
      if (this.#expected.get(peer.peer_id) !== JSON.stringify([peer.addrs, sorted(peer.meta as object)]))
        throw new Error(`A listing has a wrong or an unknown device: ${JSON.stringify(peer)}.`);
      const seen = Date.parse(peer.last_seen);
      if (Math.floor(seen / 1_000) !== peer.last_seen_unix)
        throw new Error(`The two times of a device differ: ${JSON.stringify(peer)}.`);
      if (seen > newer) throw new Error('A listing does not begin with the newest registration.');
      newer = seen;
      seenUnixMs.set(peer.peer_id, seen);
    }
    if (seenUnixMs.size !== peers.length) throw new Error('A listing has a device twice.');
    const checked = { bytes: body, reflects: this.#reflectedBy(seenUnixMs) };
    if (checked.reflects >= this.probable.reflects) this.probable = checked;
    return checked;
  }

  /** The number up to which a listing contains all registrations. */
  #reflectedBy(seenUnixMs: ReadonlyMap<string, number>): number {
    const { sent } = this.#heartbeats;
    let number = Math.max(0, this.probable.reflects);
    // A listing that was requested earlier may arrive later, so it may reflect less than the probable one.
    number = Math.max(0, number - RECENT);
    for (const { peerId, unixMs } of sent.slice(number)) {
      if ((seenUnixMs.get(peerId) ?? 0) < unixMs - CLOCK_MS) break;
      number += 1;
    }
    return number;
  }
}

/** Registrations that may be on their way at the same time. */
const RECENT = 256;

/** The fields in a fixed order: the order in a JSON object has no meaning. */
function sorted(fields: object): unknown {
  return Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
