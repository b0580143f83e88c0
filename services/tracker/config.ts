// The tracker's configuration: the only file that reads its environment. docs/environment.md is made from the table.
import {
  boolean,
  integer,
  list,
  type ListenAddress,
  listenAddress,
  logLevel,
  parsed,
  readEnvironment,
  readSmallFile,
  secret,
  unknownVariables,
} from '../shared/env.ts';
import { ConfigError, describeError } from '../shared/errors.ts';
import { type Network, parseNetwork } from './proxies.ts';
import type { RateLimitsConfig } from './rate-limits.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

/** What `--help` says first. */
export const PURPOSE = 'registers rustory devices and lists them to each other over HTTP.';

export const variables = {
  TRACKER_LISTEN: listenAddress('0.0.0.0:8850', 'Address and port of the API.'),
  TRACKER_OPS_LISTEN: listenAddress(
    '0.0.0.0:9090',
    'Address and port of /livez, /readyz and /metrics; keep it private.',
  ),
  TRACKER_TTL_SECONDS: integer(
    1,
    86_400,
    '60',
    'How long a registration is listed. Clients register every 30 seconds, so anything near or below that makes devices come and go.',
  ),
  TRACKER_MAX_PEERS: integer(
    1,
    1_000_000,
    '10000',
    'Most registered peers; new ones are then refused with 429. A peer takes about 1 KB of memory, at most 33 KB.',
  ),
  TRACKER_REDIS_URL: secret(
    parseRedisUrl,
    undefined,
    'Redis that several replicas share: redis://, redis+sentinel:// or redis+cluster:// (rediss… for TLS; NODE_EXTRA_CA_CERTS names the file of an own authority). Absent: this process remembers alone.',
  ),
  TRACKER_REDIS_URL_FILE: parsed(
    readRedisUrl,
    undefined,
    'File that holds such a URL, instead of TRACKER_REDIS_URL.',
  ),
  TRACKER_REDIS_PASSWORD_FILE: parsed(
    readText,
    undefined,
    'File that holds the password of Redis, when it is not in the URL.',
  ),
  TRACKER_STALE_SECONDS: integer(
    0,
    3_600,
    '60',
    'While Redis is away, a listing up to this old is shown again, marked with X-Rustory-Stale; 0 shows none.',
  ),
  TRACKER_TOKENS_FILE: parsed(
    (text) => text,
    undefined,
    'File of tokens, one a line, or a directory of such files; read again when it changes. A token may be followed by user=ID and read-only.',
  ),
  TRACKER_ALLOW_UNAUTHENTICATED: boolean(
    'false',
    'Start without tokens although the API listens on more than loopback.',
  ),
  TRACKER_DROP_PRIVATE_ADDRS: boolean(
    'false',
    'Drop private and loopback addresses from registrations. They are kept by default because devices in one LAN need them.',
  ),
  TRACKER_TOKEN_REQUESTS_PER_MINUTE: integer(
    0,
    1_000_000_000,
    '600000',
    'Most requests a minute with one token, in this process; 0 is no limit. Many devices may share a token.',
  ),
  TRACKER_PEER_REQUESTS_PER_MINUTE: integer(
    0,
    1_000_000_000,
    '6000',
    'Most registrations and unregistrations a minute of one peer id, in this process; 0 is no limit. A device needs two.',
  ),
  TRACKER_ADDRESS_REQUESTS_PER_MINUTE: integer(
    0,
    1_000_000_000,
    '60000',
    'Most requests a minute from one client address (in IPv6 one /64), in this process; 0 is no limit. Counted only with TRACKER_TRUSTED_PROXIES.',
  ),
  TRACKER_TRUSTED_PROXIES: list(
    parseNetwork,
    64,
    '',
    'Addresses and networks of the proxies before the tracker, whose X-Forwarded-For is believed. Without it client addresses are not known and not limited.',
  ),
  TRACKER_DRAIN_SECONDS: integer(0, 3_600, '10', 'How long connections may take to end after SIGTERM.'),
  LOG_LEVEL: logLevel,
};

export interface TrackerConfig extends RateLimitsConfig {
  readonly listen: ListenAddress;
  readonly opsListen: ListenAddress;
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  readonly redis: RedisAddress | undefined;
  readonly staleSeconds: number;
  readonly tokensFile: string | undefined;
  readonly dropPrivateAddrs: boolean;
  readonly trustedProxies: readonly Network[];
  readonly drainMs: number;
  readonly logLevel: string;
  /** What is odd but works, as lines for the log. */
  readonly warnings: readonly string[];
}

/** @throws ConfigError with every problem at once. */
export function readConfig(environment: NodeJS.ProcessEnv): TrackerConfig {
  const values = readEnvironment(variables, environment);
  const listen = values.TRACKER_LISTEN;
  if (
    values.TRACKER_TOKENS_FILE === undefined &&
    !isLoopback(listen.host) &&
    !values.TRACKER_ALLOW_UNAUTHENTICATED
  )
    throw new ConfigError([
      `TRACKER_TOKENS_FILE is not set, so everybody who reaches ${listen.host} could register and list devices; ` +
        'set it, listen on 127.0.0.1, or set TRACKER_ALLOW_UNAUTHENTICATED=true',
    ]);
  return {
    listen,
    opsListen: values.TRACKER_OPS_LISTEN,
    ttlSeconds: values.TRACKER_TTL_SECONDS,
    maxPeers: values.TRACKER_MAX_PEERS,
    redis: withPassword(
      oneOfBoth(values.TRACKER_REDIS_URL, values.TRACKER_REDIS_URL_FILE),
      values.TRACKER_REDIS_PASSWORD_FILE,
    ),
    staleSeconds: values.TRACKER_STALE_SECONDS,
    tokensFile: values.TRACKER_TOKENS_FILE,
    dropPrivateAddrs: values.TRACKER_DROP_PRIVATE_ADDRS,
    tokenRequestsPerMinute: values.TRACKER_TOKEN_REQUESTS_PER_MINUTE,
    peerRequestsPerMinute: values.TRACKER_PEER_REQUESTS_PER_MINUTE,
    addressRequestsPerMinute: values.TRACKER_ADDRESS_REQUESTS_PER_MINUTE,
    trustedProxies: values.TRACKER_TRUSTED_PROXIES,
    drainMs: values.TRACKER_DRAIN_SECONDS * 1_000,
    logLevel: values.LOG_LEVEL,
    warnings: unknownVariables(variables, 'TRACKER_', environment).map(
      (name) => `${name} is no variable of the tracker`,
    ),
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** Longest file with a URL or a password, in bytes. */
const MAX_SECRET_BYTES = 4_096;

function readText(path: string): string {
  const text = readSmallFile(path, MAX_SECRET_BYTES).toString('utf8').trim();
  if (text === '') throw new Error(`names ${path}, which is empty`);
  return text;
}

function readRedisUrl(path: string): RedisAddress {
  const url = readText(path);
  try {
    return parseRedisUrl(url);
  } catch (error) {
    throw new Error(`names ${path}, whose URL ${describeError(error)}`, { cause: error });
  }
}

function oneOfBoth(url: RedisAddress | undefined, file: RedisAddress | undefined): RedisAddress | undefined {
  if (url !== undefined && file !== undefined)
    throw new ConfigError(['TRACKER_REDIS_URL and TRACKER_REDIS_URL_FILE exclude each other']);
  return url ?? file;
}

function withPassword(
  redis: RedisAddress | undefined,
  password: string | undefined,
): RedisAddress | undefined {
  if (password === undefined) return redis;
  if (redis === undefined)
    throw new ConfigError([
      'TRACKER_REDIS_PASSWORD_FILE is set without TRACKER_REDIS_URL or TRACKER_REDIS_URL_FILE; set one of them too',
    ]);
  if (redis.password !== undefined)
    throw new ConfigError([
      'TRACKER_REDIS_PASSWORD_FILE and a password in the URL of Redis exclude each other',
    ]);
  return { ...redis, password };
}
