// What is dropped from a registration instead of refusing it: reasons, as metric labels and log fields.
import { MAX_ADDR_BYTES, MAX_ADDRS, MAX_META_FIELDS, MAX_STRING_BYTES } from '../shared/contract.ts';
import { MAX_RECORD_BYTES } from './record-size.ts';

/** Reasons to drop an address; docs/metrics.md shows the sentences. */
export const ADDRESS_DROPS = {
  unreachable: {
    doc: 'No device can connect to the address: an unspecified or multicast host (`0.0.0.0`, `::`), or port 0. Harmless; `rr` 0.1 sends them.',
  },
  private: { doc: 'The address is private or loopback, and `TRACKER_DROP_PRIVATE_ADDRS` is set.' },
  over_limit: {
    doc:
      `The registration has more than ${MAX_ADDRS} addresses, or is larger than ${MAX_RECORD_BYTES} bytes. Circuits are kept first, then public addresses, private ` +
      'IPv4 addresses, and the rest. Harmless; `rr` 0.1 sends every address that it ever had.',
  },
  too_long: {
    doc: `The address is longer than ${MAX_ADDR_BYTES} bytes. Probable cause: a client other than \`rr\`.`,
  },
  not_a_multiaddr: { doc: 'The address is not a multiaddr. Probable cause: a client other than `rr`.' },
  foreign: {
    doc: 'The address ends at another peer. Probable cause: a client other than `rr`, or an identity that was replaced while the device ran.',
  },
  mistyped: {
    doc: 'The address is not a string, or `addrs` is not a list. Probable cause: a client other than `rr`.',
  },
} as const satisfies Record<string, { readonly doc: string }>;

/** Reasons to drop a field of `meta`; docs/metrics.md shows the sentences. */
export const META_DROPS = {
  mistyped: {
    doc: 'The field has a type that the API does not have: a list, an object, or another type than that of the known field. Probable cause: a newer version of `rr`.',
  },
  too_long: { doc: `The name or the value of the field is longer than ${MAX_STRING_BYTES} bytes.` },
  malformed: { doc: 'The text is not well-formed Unicode, or contains NUL.' },
  over_limit: {
    doc: `The registration has more than ${MAX_META_FIELDS} fields in \`meta\`, or is larger than ${MAX_RECORD_BYTES} bytes. The known fields are kept first.`,
  },
} as const satisfies Record<string, { readonly doc: string }>;

export type AddressDrop = keyof typeof ADDRESS_DROPS;
export type MetaDrop = keyof typeof META_DROPS;

/** The number of dropped items by reason. Reasons without an item are absent. */
export type Dropped<Reason extends string> = Partial<Readonly<Record<Reason, number>>>;

/** The counts of a registration of which everything is kept, as of most. Shared, so that they are found by comparison. */
export const NOTHING_DROPPED: Partial<Readonly<Record<string, number>>> = Object.freeze({});

/** The same counts, or the shared ones when nothing was dropped. */
export function sharedCounts<Reason extends string>(counts: Dropped<Reason>): Dropped<Reason> {
  return Object.keys(counts).length === 0 ? NOTHING_DROPPED : counts;
}

/** Counts dropped items by reason. */
export function createDropCounter<Reason extends string>(): {
  readonly counts: Dropped<Reason>;
  drop(reason: Reason, items?: number): void;
} {
  const counts: Partial<Record<Reason, number>> = {};
  return {
    counts,
    drop(reason, items = 1) {
      counts[reason] = (counts[reason] ?? 0) + items;
    },
  };
}
