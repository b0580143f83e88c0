// The limits of the requests that a device serves, pulls and pushes. They follow from the memory of the process, so that
// a device serves as many others at the same time as its memory allows.
import { memoryLimitBytes } from '../../shared/memory.ts';

const MIB = 1024 * 1024;

/** Memory for which a process without a limit plans: that of the hub of the chart. */
const DEFAULT_MEMORY_BYTES = 256 * MIB;

/**
 * Memory per request in work: a pull has a page of 4 MiB with its compressed form, or a push its decoded items, one half of
 * the memory together.
 */
const BYTES_PER_REQUEST_IN_WORK = 16 * MIB;

/**
 * Memory per request, in work or waiting, of each kind: its connection, and the first bytes of a push. With the default, 200
 * devices that come in the same second have a place.
 */
const BYTES_PER_REQUEST = MIB;

/** More requests in work would not be served faster. */
const MAX_IN_WORK = 64;

/** Maximum requests of one kind, with any memory. */
const MAX_REQUESTS = 2_048;

/** Share of the memory for the bytes of pushes, besides one that may be as large as the protocol permits. */
const PUSH_BYTES_SHARE = 1 / 16;

export interface ServingLimits {
  /** Maximum requests in work at the same time. */
  readonly inWork: number;
  /** Maximum requests that wait for their turn. Further ones are refused. */
  readonly waiting: number;
  /** Maximum bytes of the pushes that are received or in work, besides the first ones of each, and besides one push. */
  readonly pushBytes: number;
}

/** @param memoryBytes memory of the process. Default: its limit, otherwise 256 MiB */
export function servingLimits(
  memoryBytes: number = memoryLimitBytes() ?? DEFAULT_MEMORY_BYTES,
): ServingLimits {
  const inWork = clamp(Math.floor(memoryBytes / BYTES_PER_REQUEST_IN_WORK), 1, MAX_IN_WORK);
  const requests = clamp(Math.floor(memoryBytes / BYTES_PER_REQUEST), 2 * inWork, MAX_REQUESTS);
  return { inWork, waiting: requests - inWork, pushBytes: Math.floor(memoryBytes * PUSH_BYTES_SHARE) };
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
