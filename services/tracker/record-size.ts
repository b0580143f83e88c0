// The maximum size of a registration that is stored, and the memory of Redis that follows from it: the one place for this
// arithmetic. A test fills a real Redis with the memory of the chart.

/**
 * Maximum size of a record in bytes of its JSON. 32 circuits with host names and a complete `meta` have about 6 KB. With
 * the user id before it, the record fits into 8 KiB, a size class of the allocator of Redis. What does not fit is dropped
 * in this order: unknown fields of `meta`, other addresses than circuits, circuits, known fields of `meta`.
 */
export const MAX_RECORD_BYTES = 7_680;

/** Bytes of the fields around `addrs` and `meta`, with a peer id. */
const FRAME_BYTES = 128;

/** Maximum bytes of the addresses and the fields of `meta` together, as JSON. */
export const MAX_FIELD_BYTES = MAX_RECORD_BYTES - FRAME_BYTES;

/** Bytes of a value as JSON, with the comma after it. */
export function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}

/** Bytes of Redis without registrations: the process and its scripts, and the buffers of some trackers. */
const REDIS_BASE_BYTES = 8 * 1024 * 1024;

/**
 * Maximum bytes of Redis for one peer: its record of 8 KiB with key (8.5 KB), its entries in the two indexes (0.9 KB),
 * claims that find conflicts (2.8 KB) and the hold of its peer id (0.8 KB), if clients fill all of them on purpose. All
 * of it is 11.9 KB in Redis, and 0.8 KB more for a hub, which is in two more indexes. A device of typical size uses 2 KB.
 */
const REDIS_PEER_BYTES = 13 * 1024;

/** The memory of Redis for data (`maxmemory`), in bytes, with which no registration is refused for it. */
export function redisBytes(maxPeers: number): number {
  return REDIS_BASE_BYTES + maxPeers * REDIS_PEER_BYTES;
}
