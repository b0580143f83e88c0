// The maximum memory use that the configured limits of the relay permit, for the check at start. The costs are measured
// with the commands in `docs/relay-load.md` and rounded up.
const KIB = 1024;
const MIB = 1024 ** 2;

/** An idle relay in a container, after its first work: Node.js, libp2p and the code of the relay. */
export const BASE_BYTES = 128 * MIB;

/** The limits that cost memory for each of their number. */
export interface SizedLimits {
  readonly reservations: number;
  readonly connections: number;
  readonly pendingConnections: number;
  readonly circuits: number;
}

/** Size of one socket read in bytes: the maximum that each circuit buffers after the relay stopped reading. */
const SOCKET_READ_BYTES = 64 * KIB;

/** Memory of one of each, in bytes. */
export const COST_BYTES: Readonly<SizedLimits> = {
  /** An open connection with its yamux session. 4,000 with a reservation each use 147 MiB: 38 KiB for both. */
  connections: 36 * KIB,
  /** In addition to its connection. */
  reservations: 16 * KIB,
  /** A socket, the cipher state of both directions, and what the library holds: 4,000 use 94 MiB. */
  pendingConnections: 28 * KIB,
  /** Two streams and their buffers without contents, of which 1,000 use 60 MiB, and one socket read. */
  circuits: 64 * KIB + SOCKET_READ_BYTES,
};

/**
 * Maximum memory for each limit, in bytes. Unsent responses are not included: only a peer with the swarm key can cause
 * them, and a connection with too many of them is closed.
 */
export function memoryNeeds(
  limits: SizedLimits & { readonly bufferedBytes: number },
): Record<string, number> {
  return {
    base: BASE_BYTES,
    connections: limits.connections * COST_BYTES.connections,
    reservations: limits.reservations * COST_BYTES.reservations,
    pendingConnections: limits.pendingConnections * COST_BYTES.pendingConnections,
    circuits: limits.circuits * COST_BYTES.circuits,
    bufferedBytes: limits.bufferedBytes,
  };
}
