// The maximum memory use that the configured limits of the relay permit, for the check at start. The costs are measured
// with the commands in `docs/relay-load.md` and rounded up.
import type { RelayLimits } from './config.ts';

const KIB = 1024;
const MIB = 1024 ** 2;

/** An idle relay in a container, after its first work: Node.js, libp2p and the code of the relay. */
const BASE_BYTES = 128 * MIB;

/** An open connection with its yamux session: 2,000 of them use 100 MiB. */
const CONNECTION_BYTES = 50 * KIB;

/** A reservation: about 45 KB of heap. With its connection that is more than the 86 KiB of an idle reserved peer. */
const RESERVATION_BYTES = 45 * KIB;

/** A pending handshake: a socket and the cipher state of both directions; counted like an open connection. */
const PENDING_CONNECTION_BYTES = 50 * KIB;

/** A running circuit: two streams and their buffers without contents. 1,000 of them use 60 MiB. */
const CIRCUIT_BYTES = 64 * KIB;

/** Size of one socket read in bytes: the maximum that each circuit buffers after the relay stopped reading. */
const SOCKET_READ_BYTES = 64 * KIB;

/**
 * Maximum memory for each limit, in bytes. Unsent responses are not included: only a peer with the swarm key can cause
 * them, and a connection with too many of them is closed.
 */
export function memoryNeeds(limits: RelayLimits): Record<string, number> {
  return {
    base: BASE_BYTES,
    connections: limits.connections * CONNECTION_BYTES,
    reservations: limits.reservations * RESERVATION_BYTES,
    pendingConnections: limits.pendingConnections * PENDING_CONNECTION_BYTES,
    circuits: limits.circuits * (CIRCUIT_BYTES + SOCKET_READ_BYTES),
    bufferedBytes: limits.bufferedBytes,
  };
}
