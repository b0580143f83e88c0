// Connections that have not yet proved who they are. Anybody may open one, so there are at most so many; when one more
// comes, the one that has taken longest gives way. Refusing the newcomer instead would let whoever fills all places
// keep every device out. Those who have shown the swarm key are a group of their own, and the larger group gives way: a
// flood of strangers costs no member its handshake, nor members that stall a device its chance to show the key.
import type { MultiaddrConnection } from '@libp2p/interface';
import type { ProtectionOutcome } from '../private-network/psk.ts';
import type { RelayMetrics } from './metrics.ts';

export interface Handshakes {
  /** Counts a connection from its first moment; it counts no more when it closes. */
  begin(connection: MultiaddrConnection): void;
  /** Told once for each, by the protector of the private network. */
  protected(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
  /** The peer has proved who it is. */
  finish(connection: MultiaddrConnection): void;
  /** How many there are now. */
  pending(): number;
}

export function createHandshakes(
  maxPending: number,
  metrics: Pick<RelayMetrics, 'handshake' | 'connectionRefused'>,
): Handshakes {
  // Both in the order in which they came.
  const strangers = new Set<MultiaddrConnection>();
  const members = new Set<MultiaddrConnection>();
  const gaveWay = new WeakSet<MultiaddrConnection>();

  function makeRoom(): void {
    const [oldest] = strangers.size >= members.size ? strangers : members;
    if (oldest === undefined) return;
    metrics.connectionRefused('pending');
    gaveWay.add(oldest);
    strangers.delete(oldest);
    members.delete(oldest);
    oldest.abort(new Error('there are as many handshakes as there may be'));
  }

  return {
    begin(connection) {
      if (strangers.size + members.size >= maxPending) makeRoom();
      strangers.add(connection);
      connection.addEventListener('close', () => {
        strangers.delete(connection);
        if (members.delete(connection)) metrics.handshake('unfinished');
      });
    },
    protected(outcome, connection) {
      // Its end is not of its own making, and is counted already.
      if (gaveWay.has(connection)) return;
      if (outcome !== 'ok') metrics.handshake(outcome);
      else if (strangers.delete(connection)) members.add(connection);
    },
    finish(connection) {
      if (members.delete(connection)) metrics.handshake('ok');
    },
    pending: () => strangers.size + members.size,
  };
}
