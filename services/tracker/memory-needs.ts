// The memory that the configured limits of the tracker permit, by consumer.
import type { TrackerConfig } from './config.ts';
import { HTTP_LIMITS, PLAIN_LIMITS, TLS_LIMITS } from './http-limits.ts';
import { MAX_ANSWER_BYTES } from './answers.ts';
import { MAX_READING_BYTES } from './body.ts';
import { MAX_CACHED_LISTING_BYTES } from './listing-cache.ts';
import { MAX_CACHED_REGISTRATION_BYTES } from './registration.ts';
import { MAX_HOLDS_PER_PEER } from './registry/memory-registry.ts';
import { CALL_LIMITS } from './registry/call-queue.ts';
import { MAX_KEPT_BYTES } from './registry/stale-listings.ts';

/** Bytes of the idle process. */
const PROCESS_BYTES = 64 * 1024 * 1024;

/** Bytes of a registered device with its JSON and index entries. A record of the maximum size uses eight times as much. */
const PEER_BYTES = 1024;

/** Bytes of the claims that find devices with one identity, for each registered device. */
const CLAIMS_BYTES = 1024;

/** Bytes of a hold of a peer id. */
const HOLD_BYTES = 256;

/** Bytes of an open connection with its HTTP parser. */
const CONNECTION_BYTES = 10 * 1024;

/** Bytes of an open connection with TLS. Measured: 55 KB with 2,000 of them. */
const TLS_CONNECTION_BYTES = 56 * 1024;

/** Needs for devices of typical size, in bytes. */
export function memoryNeeds({
  redis,
  staleSeconds,
  limits,
  tls,
  plainListen,
}: TrackerConfig): Record<string, number> {
  const isInMemory = redis === undefined;
  const besideTls = plainListen === undefined ? 0 : PLAIN_LIMITS.maxConnections;
  const plainConnections = tls === undefined ? HTTP_LIMITS.maxConnections : besideTls;
  return {
    process: PROCESS_BYTES,
    peers: isInMemory ? limits.peers * (PEER_BYTES + CLAIMS_BYTES) : 0,
    holds: isInMemory ? MAX_HOLDS_PER_PEER * limits.peers * HOLD_BYTES : 0,
    keptListings: isInMemory || staleSeconds === 0 ? 0 : MAX_KEPT_BYTES,
    waitingCalls: isInMemory ? 0 : CALL_LIMITS.waitingBytes,
    cachedBodies: MAX_CACHED_REGISTRATION_BYTES,
    cachedListings: MAX_CACHED_LISTING_BYTES,
    answers: MAX_ANSWER_BYTES,
    readBodies: MAX_READING_BYTES,
    connections: plainConnections * CONNECTION_BYTES,
    tlsConnections: tls === undefined ? 0 : TLS_LIMITS.maxConnections * TLS_CONNECTION_BYTES,
  };
}
