// The tracker's configuration: the only file that reads its environment. `docs/environment.md`, `--help` and the
// schema of the chart are made from the table.
import { isGiven, readEnvironment, unknownVariableWarnings } from '../shared/env.ts';
import type { Program } from '../shared/program.ts';
import {
  boolean,
  integer,
  list,
  type ListenAddress,
  listenAddress,
  logLevel,
  parsed,
  quote,
  secret,
  text,
  type Values,
  type Variable,
} from '../shared/variables.ts';
import { checkAccess, readTokenFile } from './access-config.ts';
import { parseHostName } from './foreign-pages.ts';
import { type Network, parseNetwork } from '../shared/trusted-networks.ts';
import type { TokenTable } from './tokens.ts';
import { readRedis, readRedisUrlFile, readSecretFile } from './registry/redis-config.ts';
import { parseRedisUrl, type RedisAddress } from './registry/redis-url.ts';
import type { Certificate } from './tls/certificate.ts';
import { readTls } from './tls/tls-config.ts';

/** Maximum trusted proxies or networks of proxies. */
const MAX_PROXIES = 64;

/** Maximum names of the tracker. */
const MAX_HOSTS = 64;

/** Maximum of the rate limits, in requests per minute. */
const MAX_REQUESTS_PER_MINUTE = 1_000_000_000;

/** Every variable of the tracker. */
export const variables = {
  TRACKER_LISTEN: listenAddress({
    fallback: '0.0.0.0:8850',
    doc: 'Address and port of the API.',
    audience: 'set',
  }),
  TRACKER_OPS_LISTEN: listenAddress({
    fallback: '0.0.0.0:9090',
    doc: 'Address and port of /livez, /readyz and /metrics. Keep this port private.',
    audience: 'set',
  }),
  TRACKER_TLS_CERT_FILE: text({
    fallback: undefined,
    doc: 'PEM file with the certificate of the tracker, then those of the intermediate authorities. With it, TRACKER_LISTEN serves https. Use an ECDSA key (P-256) and a certificate of a public authority: rr accepts no others. Changes are read without a restart.',
    audience: 'set',
  }),
  TRACKER_TLS_KEY_FILE: text({
    fallback: undefined,
    doc: 'PEM file with the private key of the certificate, without a passphrase.',
    audience: 'set',
  }),
  TRACKER_PLAIN_LISTEN: listenAddress({
    fallback: undefined,
    doc: 'Address and port of a second port without TLS, for clients in a network that is trusted, such as those of the same release. Requires TRACKER_TLS_CERT_FILE.',
    audience: 'set',
  }),
  TRACKER_PATH_PREFIX: parsed(parsePathPrefix, {
    fallback: '',
    doc: 'Path below which a proxy publishes the tracker, such as /rustory. Requests are served with and without it, so the proxy may remove it or not.',
    audience: 'set',
  }),
  TRACKER_TTL_SECONDS: integer(1, 86_400, {
    fallback: '60',
    doc: 'Time to live of a registration. Devices register every 30 seconds; with a value near 30 or lower, they disappear from listings between two registrations.',
    audience: 'rarely',
  }),
  TRACKER_MAX_PEERS: integer(1, 1_000_000, {
    fallback: '10000',
    doc: 'Maximum registered peers. Further peers are refused with 429. A peer uses about 2 KB of the memory of the tracker or of Redis, at most 13 KB.',
  }),
  TRACKER_REDIS_URL: secret(parseRedisUrl, {
    fallback: undefined,
    doc: 'Redis (6.2 or newer) that several replicas share: redis://, redis+sentinel:// or redis+cluster:// (rediss://, rediss+sentinel://, rediss+cluster:// for TLS; NODE_EXTRA_CA_CERTS is the file of a private certificate authority). Absent: registrations are stored only in the memory of this process.',
    audience: 'set',
  }),
  TRACKER_REDIS_URL_FILE: parsed(readRedisUrlFile, {
    fallback: undefined,
    doc: 'File with the URL of Redis, instead of TRACKER_REDIS_URL. It is read again at each new connection.',
    audience: 'set',
  }),
  TRACKER_REDIS_PASSWORD_FILE: parsed(readSecretFile, {
    fallback: undefined,
    doc: 'File with the password of Redis, if the URL contains no password. It is read again at each new connection.',
    audience: 'set',
  }),
  TRACKER_REDIS_SENTINEL_USERNAME: text({
    fallback: undefined,
    doc: 'User at the Sentinels. Requires TRACKER_REDIS_SENTINEL_PASSWORD_FILE.',
    audience: 'set',
  }),
  TRACKER_REDIS_SENTINEL_PASSWORD_FILE: parsed(readSecretFile, {
    fallback: undefined,
    doc: 'File with the password of the Sentinels, if it is not that of Redis. Absent: the login of Redis; at Sentinels that refuse it, no login.',
    audience: 'set',
  }),
  TRACKER_REDIS_SENTINEL_TLS: boolean({
    fallback: undefined,
    doc: 'Whether connections to the Sentinels use TLS. Absent: as the URL says for Redis.',
    audience: 'set',
  }),
  TRACKER_STALE_SECONDS: integer(0, 3_600, {
    fallback: '60',
    doc: 'Maximum age of the stale listings that are served while Redis does not answer, with the header X-Rustory-Stale; 0 means no stale listings.',
    audience: 'rarely',
  }),
  TRACKER_TOKENS_FILE: text({
    fallback: undefined,
    doc: 'File of tokens, or a directory of such files. Each line has the form TOKEN [user=ID] [hub | read-only]. Changes are read without a restart.',
    audience: 'set',
  }),
  TRACKER_ALLOW_UNAUTHENTICATED: boolean({
    fallback: 'false',
    doc: 'Whether the tracker may start without tokens when the API does not listen on loopback.',
    audience: 'set',
  }),
  TRACKER_STAR: boolean({
    fallback: 'false',
    doc: 'Whether devices of a user are listed only the hub of this user while it is registered with a token that is marked hub; then each device syncs with the hub alone. Requires TRACKER_TOKENS_FILE. Set the same value on all replicas.',
    audience: 'set',
  }),
  TRACKER_DROP_PRIVATE_ADDRS: boolean({
    fallback: 'false',
    doc: 'Whether private and loopback addresses are dropped from registrations. By default they are kept, because devices on the same LAN need them. Circuits are always kept, whatever the address of their relay.',
    audience: 'rarely',
  }),
  TRACKER_TOKEN_REQUESTS_PER_MINUTE: integer(0, MAX_REQUESTS_PER_MINUTE, {
    fallback: '600000',
    doc: 'Maximum requests per minute with one token, per replica; 0 means no limit. Further requests are refused with 429. Many devices may share a token.',
  }),
  TRACKER_PEER_REQUESTS_PER_MINUTE: integer(0, MAX_REQUESTS_PER_MINUTE, {
    fallback: '6000',
    doc: 'Maximum registrations and unregistrations of one peer id per minute, per replica; 0 means no limit. Further requests are refused with 429. A device sends two per minute.',
  }),
  TRACKER_ADDRESS_REQUESTS_PER_MINUTE: integer(0, MAX_REQUESTS_PER_MINUTE, {
    fallback: '60000',
    doc: 'Maximum requests per minute from one client address (IPv6: one /64), per replica; 0 means no limit. Further requests are refused with 429. Requests without a valid token are counted apart. Applies only with TRACKER_TRUSTED_PROXIES.',
  }),
  TRACKER_TRUSTED_PROXIES: list(parseNetwork, MAX_PROXIES, {
    fallback: '',
    doc: 'Addresses and networks of the proxies in front of the tracker. Their X-Forwarded-For headers are trusted, and with TRACKER_PROXY_PROTOCOL those of the PROXY protocol. Empty: client addresses behind a proxy are unknown, and the limit per client address is off.',
    audience: 'set',
  }),
  TRACKER_PROXY_PROTOCOL: boolean({
    fallback: 'false',
    doc: 'Whether connections to TRACKER_LISTEN from TRACKER_TRUSTED_PROXIES begin with a header of the PROXY protocol (version 1 or 2), also in front of TLS. A trusted proxy without this header is disconnected; other clients need none.',
    audience: 'set',
  }),
  TRACKER_ALLOWED_HOSTS: list(parseHostName, MAX_HOSTS, {
    fallback: '',
    doc: 'Names under which clients reach the tracker, without ports. Requests for other names are refused with 421, so that a web page cannot use the browser of a visitor to reach a tracker without tokens (DNS rebinding). IP addresses and localhost are always permitted. Empty: every name.',
    audience: 'set',
  }),
  TRACKER_FAILED_LOGINS_PER_MINUTE: integer(0, MAX_REQUESTS_PER_MINUTE, {
    fallback: '600',
    doc: 'Maximum requests per minute without a valid token from one client address (IPv6: one /64), per replica; 0 means no limit. Further ones are refused with 429 instead of 401. A request with a valid token is never refused for this. Applies only with TRACKER_TRUSTED_PROXIES, to clients whose addresses are known.',
  }),
  TRACKER_DRAIN_SECONDS: integer(0, 3_600, {
    fallback: '10',
    doc: 'Drain deadline: connections that are still open this long after SIGTERM are closed.',
    audience: 'rarely',
  }),
  LOG_LEVEL: logLevel,
} satisfies Record<string, Variable<unknown>>;

export const PROGRAM: Program = {
  name: 'rustory-tracker',
  purpose: 'registers rustory devices and lists them to each other over HTTP.',
  variables,
};

type TrackerValues = Values<typeof variables>;

/** Every limit of the tracker. */
export type TrackerLimits = ReturnType<typeof readLimits>;

export interface TrackerConfig {
  readonly listen: ListenAddress;
  /** Empty, or a path without a slash at its end. */
  readonly pathPrefix: string;
  readonly opsListen: ListenAddress;
  /** A second port of the API without TLS. */
  readonly plainListen: ListenAddress | undefined;
  /** The certificate of `listen`; `undefined`: no TLS. */
  readonly tls: Certificate | undefined;
  readonly ttlSeconds: number;
  /** `undefined`: registrations are kept in this process. */
  readonly redis: RedisAddress | undefined;
  /** Reads the address of Redis and its login again, because the files may have changed. */
  readonly rereadRedis: () => RedisAddress | undefined;
  readonly staleSeconds: number;
  /** `undefined`: every request is permitted. */
  readonly tokens: TokenTable | undefined;
  /** Whether devices are listed only the hub of their user while it is registered. */
  readonly star: boolean;
  readonly dropPrivateAddrs: boolean;
  readonly trustedProxies: readonly Network[];
  /** Whether the trusted proxies send headers of the PROXY protocol. */
  readonly proxyProtocol: boolean;
  /** Names under which requests are accepted; empty: every name. */
  readonly allowedHosts: readonly string[];
  readonly limits: TrackerLimits;
  readonly drainMs: number;
  readonly logLevel: string;
  /** Whole sentences about settings without effect and other risks, for the log. */
  readonly warnings: readonly string[];
}

/** Reads the whole configuration. @throws ConfigError with all problems at once */
export function readTrackerConfig(environment: NodeJS.ProcessEnv): TrackerConfig {
  const { values, problems, complete } = readEnvironment(variables, environment);
  const redis = readRedis(values, (name) => isGiven(name, environment), problems);
  const isStar = values.TRACKER_STAR === true;
  const tokens = readTokenFile(values.TRACKER_TOKENS_FILE, isStar, problems);
  const tls = readTls(
    {
      certPath: values.TRACKER_TLS_CERT_FILE,
      keyPath: values.TRACKER_TLS_KEY_FILE,
      listen: values.TRACKER_LISTEN,
      plainListen: values.TRACKER_PLAIN_LISTEN,
    },
    problems,
  );
  checkAccess(
    {
      listens: [values.TRACKER_LISTEN, values.TRACKER_PLAIN_LISTEN],
      // A value that could not be read is already reported.
      isOpenAllowed: values.TRACKER_ALLOW_UNAUTHENTICATED ?? true,
      hasTokens: isGiven('TRACKER_TOKENS_FILE', environment),
      isStar,
    },
    problems,
  );
  if (values.TRACKER_PROXY_PROTOCOL === true && values.TRACKER_TRUSTED_PROXIES?.length === 0)
    problems.push(
      'TRACKER_PROXY_PROTOCOL: set without TRACKER_TRUSTED_PROXIES, so no header would be trusted; set the addresses of the proxies too.',
    );
  const all = complete();
  return {
    listen: all.TRACKER_LISTEN,
    pathPrefix: all.TRACKER_PATH_PREFIX,
    opsListen: all.TRACKER_OPS_LISTEN,
    plainListen: all.TRACKER_PLAIN_LISTEN,
    tls,
    ttlSeconds: all.TRACKER_TTL_SECONDS,
    redis,
    rereadRedis: () => rereadRedis(environment, redis),
    staleSeconds: all.TRACKER_STALE_SECONDS,
    tokens,
    star: all.TRACKER_STAR,
    dropPrivateAddrs: all.TRACKER_DROP_PRIVATE_ADDRS,
    trustedProxies: all.TRACKER_TRUSTED_PROXIES,
    proxyProtocol: all.TRACKER_PROXY_PROTOCOL,
    allowedHosts: all.TRACKER_ALLOWED_HOSTS,
    limits: readLimits(all),
    drainMs: all.TRACKER_DRAIN_SECONDS * 1_000,
    logLevel: all.LOG_LEVEL,
    warnings: [...unknownVariableWarnings(variables, 'TRACKER_', environment), ...(tokens?.warnings ?? [])],
  };
}

/** @throws Error when it is not a path of names between slashes */
function parsePathPrefix(given: string): string {
  const path = given.replace(/\/$/, '');
  if (path !== '' && !/^(\/[\w.~-]+)+$/.test(path))
    throw new Error(`${quote(given)} is not a path, such as /rustory.`);
  return path;
}

function readLimits(values: TrackerValues) {
  return {
    peers: values.TRACKER_MAX_PEERS,
    /** Rate limits of this and the next three: `undefined` means no limit. */
    tokenRequestsPerMinute: values.TRACKER_TOKEN_REQUESTS_PER_MINUTE || undefined,
    peerRequestsPerMinute: values.TRACKER_PEER_REQUESTS_PER_MINUTE || undefined,
    addressRequestsPerMinute: values.TRACKER_ADDRESS_REQUESTS_PER_MINUTE || undefined,
    failedLoginsPerMinute: values.TRACKER_FAILED_LOGINS_PER_MINUTE || undefined,
  };
}

/** While a file cannot be read, the last address stays. */
function rereadRedis(
  environment: NodeJS.ProcessEnv,
  last: RedisAddress | undefined,
): RedisAddress | undefined {
  const { values, problems } = readEnvironment(variables, environment);
  const found = problems.filter((problem) => problem.startsWith('TRACKER_REDIS'));
  const redis = readRedis(values, (name) => isGiven(name, environment), found);
  return found.length === 0 ? redis : last;
}
