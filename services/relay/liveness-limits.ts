// How long a connection may be quiet before the relay does what: the only place that decides this. The reasons in full
// are in `docs/decisions/quiet-connections.md`.
//
// Quiet means that no byte arrives although the relay reads. It is not the idle timeout, which is about use: a connection
// with regular pings is not quiet, and without a reservation or a stream it is idle.

/** Longest interruption of a network that a connection must survive, in milliseconds. */
const SURVIVED_GAP_MS = 15 * 60_000;

/**
 * Time after which a connection is dead, in milliseconds: the gap, a ping that was due before it, the two minutes that
 * kernels wait at most between two retransmissions, and a reserve. Until then nothing but its peer ends it.
 */
export const DEAD_MS = SURVIVED_GAP_MS + 10 * 60_000;

/**
 * Idle time before the first TCP keepalive probe, in milliseconds, with the interval and number of the probes. They end at
 * `DEAD_MS`.
 */
export const KEEPALIVE_DELAY_MS = SURVIVED_GAP_MS;
export const KEEPALIVE_INTERVAL_MS = 60_000;
export const KEEPALIVE_PROBES = (DEAD_MS - KEEPALIVE_DELAY_MS) / KEEPALIVE_INTERVAL_MS;

/**
 * Quiet time after which the target of a circuit is probed first, in milliseconds. `rr` pings 15 s after the last
 * response, so a living device is never quiet for longer, except for the delay of its network.
 */
export const QUIET_MS = 20_000;

/** Deadline for a quiet target to send any byte after a ping, in milliseconds: several slow round trips. */
export const PROBE_MS = 2_000;

/** Deadline for a target to accept a circuit, in milliseconds. Together with the probe `rr` waits that long: 10 s. */
export const STOP_MS = 8_000;

/**
 * Deadline for the connection that had the reservation before to send any byte after a ping, in milliseconds. The peer
 * has another connection, so nothing is lost when this one is closed.
 */
export const SUPERSEDED_MS = 10_000;

/**
 * Quiet time after which a full relay gives the reservation of a connection to a new device, in milliseconds: the gap, a
 * ping that was due before it, and the two minutes between two retransmissions. A relay that is not full keeps it until
 * the connection is dead.
 */
export const REPLACEABLE_MS = SURVIVED_GAP_MS + 3 * 60_000;

/**
 * Quiet time after which a connection does not count towards the limit of its peer, in milliseconds: two pings are
 * missing.
 */
export const EVICTABLE_MS = 30_000;
