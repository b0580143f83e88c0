// Limits on the clients of the API's HTTP server: connections, header bytes and time.
import type { HttpLimits } from '../shared/http-server.ts';

/**
 * Headers may have 32 KiB: `rr` 1.x repeats the body of an unregistration percent-encoded in a header, with up to 24 KiB.
 * One KiB more is for the path and for the bytes that the parser counts in addition.
 */
const MAX_HEADER_BYTES = 33 * 1024;

/** Requests have at most 64 KiB and responses start immediately, so a regular client never reaches these limits. */
export const HTTP_LIMITS: HttpLimits = {
  // 10,000 idle connections use about 100 MB.
  maxConnections: 10_000,
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // Longer than the 60 seconds of common load balancers, so that they close idle connections first.
  keepAliveTimeout: 75_000,
  // For clients that stopped reading a long listing or disappeared without closing the connection.
  idleTimeoutMs: 80_000,
  connectionsCheckingInterval: 1_000,
  // Of 10,000 devices that register at once, half needed a second try with 511. 4,096 requests are answered in about half a
  // second, so the last one is answered before `rr` 1.x gives it up, and the usual limit of the kernel is the same.
  backlog: 4_096,
};

/**
 * Limits of a port with TLS, on which an idle connection uses five times as much memory. `rr` 1.x opens a connection for
 * each request and closes it afterwards, so thousands of devices have few connections at the same time.
 */
export const TLS_LIMITS: HttpLimits = {
  ...HTTP_LIMITS,
  maxConnections: 1_500,
  // `rr` 1.x waits for TCP and TLS together, and a handshake takes the tracker 1 to 2 ms.
  backlog: 511,
};

/** Limits of a port without TLS next to one with TLS: only a few pods of the same release connect to it. */
export const PLAIN_LIMITS: HttpLimits = { ...HTTP_LIMITS, maxConnections: 500, backlog: 500 };
