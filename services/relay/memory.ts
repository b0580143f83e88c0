// The maximum memory use that the configured limits of the relay permit, for the check at start. The costs are measured
// with `bench/relay/costs.ts` and `e2e/load/stalled.ts`, see `docs/relay-load.md`.
const KIB = 1024;
const MIB = 1024 ** 2;

/** An idle relay in a container, after its first work: Node.js and the code of the relay, 77 to 84 MiB. */
export const BASE_BYTES = 96 * MIB;

/** The limits that cost memory for each of their number. */
export interface SizedLimits {
  readonly reservations: number;
  readonly connections: number;
  readonly pendingConnections: number;
  readonly circuits: number;
}

/** Memory of one of each, in bytes: half as much again as measured, or more. */
export const COST_BYTES: Readonly<SizedLimits> = {
  /** An open connection with its session and a ping stream: 10.7 KiB. */
  connections: 16 * KIB,
  /** In addition to its connection: 3.5 KiB. */
  reservations: 6 * KIB,
  /** A socket, the cipher state of both directions, and what it sent before its turn, at most 4 KiB: 7.4 KiB. */
  pendingConnections: 12 * KIB,
  /** Two streams, 5.2 KiB while idle. With a receiver that never reads 56 KiB, besides the buffers that are limited for all together. */
  circuits: 96 * KIB,
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
