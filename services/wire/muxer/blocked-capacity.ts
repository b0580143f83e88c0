// How much a joined stream may write to a connection whose socket is blocked.
import type { ByteDuplex } from '../layers.ts';

/**
 * Maximum unsent bytes of a blocked connection up to which data of joined streams is written to it: one read of a
 * sender. It is encrypted once and waits there, instead of being copied into a queue. More waits in the queue of its lane.
 */
const MAX_UNSENT_BYTES = 256 * 1024;

/** Bytes that may be written now: no limit unless the socket is blocked. */
export function blockedCapacity(below: ByteDuplex): number {
  return below.isBlocked ? Math.max(0, MAX_UNSENT_BYTES - below.unsentBytes) : Infinity;
}
