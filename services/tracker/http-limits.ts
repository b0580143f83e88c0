// What one client may take of the tracker's HTTP server: connections, header bytes and time.
import type { HttpLimits } from '../shared/http-server.ts';

/** For the API's socket. Requests are at most 64 KiB and answers start at once, so a slow client is a broken one. */
export const HTTP_LIMITS: HttpLimits = {
  // Connections are cheap; this many idle ones take about 100 MB.
  maxConnections: 10_000,
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // Longer than the 60 seconds of common load balancers, so that they close first.
  keepAliveTimeout: 75_000,
  // A reader that stopped reading a long listing, or a connection without its other end.
  idleTimeout: 80_000,
  connectionsCheckingInterval: 1_000,
};
