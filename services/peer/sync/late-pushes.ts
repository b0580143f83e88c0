// The pushes that were stored after their sender had got its answer. The sender repeats such a push, byte for byte. To decode
// and compare a very large one once more could take too long again, so that it would be repeated for ever.
import { createHash } from 'node:crypto';
import type { PushRequest } from './push-request.ts';

/** Maximum remembered pushes. The oldest one is forgotten first. */
const MAX_REMEMBERED = 1_024;

/** What the answer to the repeated push says about it. */
export type PushSummary = Pick<PushRequest, 'entries' | 'deletions' | 'invalid'>;

export interface LatePushes {
  add(peer: string, message: Uint8Array, summary: PushSummary): void;
  /** The push of this peer with these bytes, if all of it is stored. */
  find(peer: string, message: Uint8Array): PushSummary | undefined;
}

export function createLatePushes(): LatePushes {
  const remembered = new Map<string, PushSummary>();
  const peers = new Map<string, number>();

  return {
    add(peer, message, { entries, deletions, invalid }) {
      const key = keyOf(peer, message);
      if (!remembered.has(key)) peers.set(peer, (peers.get(peer) ?? 0) + 1);
      remembered.delete(key);
      remembered.set(key, { entries, deletions, invalid });
      const [oldest] = remembered.keys();
      if (remembered.size <= MAX_REMEMBERED || oldest === undefined) return;
      remembered.delete(oldest);
      const [owner = ''] = oldest.split(' ');
      const left = (peers.get(owner) ?? 0) - 1;
      if (left > 0) peers.set(owner, left);
      else peers.delete(owner);
    },
    // The bytes of most pushes need not be hashed.
    find: (peer, message) => (peers.has(peer) ? remembered.get(keyOf(peer, message)) : undefined),
  };
}

function keyOf(peer: string, message: Uint8Array): string {
  return `${peer} ${createHash('sha256').update(message).digest('hex')}`;
}
