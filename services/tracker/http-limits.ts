// Limits on the clients of the API's HTTP server: connections, header bytes and time.
import type { HttpLimits } from '../shared/http-server.ts';

/** Requests have at most 64 KiB and responses start immediately, so a regular client never reaches these limits. */
export const HTTP_LIMITS: HttpLimits = {
  // 10,000 idle connections use about 100 MB.
  maxConnections: 10_000,
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // Longer than the 60 seconds of common load balancers, so that they close idle connections first.
  keepAliveTimeout: 75_000,
  // For clients that stopped reading a long listing or disappeared without closing the connection.
  idleTimeoutMs: 80_000,
  connectionsCheckingInterval: 1_000,
};
