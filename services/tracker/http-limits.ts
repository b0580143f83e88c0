// Limits on the clients of the API's HTTP server: connections, header bytes and time.
import type { HttpLimits } from '../shared/http-server.ts';

/** A request has at most 64 KiB and an answer starts at once, so a slow client is a broken one. */
export const HTTP_LIMITS: HttpLimits = {
  // 10,000 idle connections use about 100 MB.
  maxConnections: 10_000,
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // Longer than the 60 seconds of common load balancers, so that they close first.
  keepAliveTimeout: 75_000,
  // For a client that stopped reading a long listing, or vanished without closing.
  idleTimeout: 80_000,
  connectionsCheckingInterval: 1_000,
};
