// Parses the URL of Redis: one server, Sentinels or a Cluster. Errors never repeat the text, because it may contain a
// password.

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisLogin {
  /** `undefined`: the default user. */
  readonly username: string | undefined;
  /** `undefined`: no login. */
  readonly password: string | undefined;
}

/** Addresses of Redis and the login. */
export interface RedisAddress extends RedisLogin {
  readonly kind: 'standalone' | 'sentinel' | 'cluster';
  /** The server itself, the Sentinels, or some nodes of the Cluster. */
  readonly nodes: readonly [RedisNode, ...RedisNode[]];
  readonly tls: boolean;
  readonly database: number;
  /** Name of the master in the configuration of the Sentinels; empty unless the kind is `sentinel`. */
  readonly masterName: string;
  /** The login of the Sentinels. `undefined`: that of Redis, and no login at Sentinels that do not know it. */
  readonly sentinelLogin: RedisLogin | undefined;
  /** Whether connections to the Sentinels use TLS. */
  readonly sentinelTls: boolean;
}

const FORMS =
  'The URL is not redis://host:6379, redis+sentinel://host:26379,host:26379/master-name or ' +
  'redis+cluster://host:6379,host:6379; use rediss… for TLS, and user:password@ before the hosts for a login. ' +
  'In a login, write special characters as percent-encoding (@ as %40), or use TRACKER_REDIS_PASSWORD_FILE.';

/** Maximum nodes of a URL. A client needs only some of the nodes to find the others. */
const MAX_NODES = 16;

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;

/** Maximum database number. A default Redis has 16 databases. */
const MAX_DATABASE = 1_023;

const PATTERN = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/@?#]+)(\/[^?#]*)?$/;

/** @throws Error that is a whole sentence */
export function parseRedisUrl(text: string): RedisAddress {
  const match = PATTERN.exec(text);
  if (match === null) throw new Error(FORMS);
  const [, secure, kind = 'standalone', login = '', hosts = '', path = ''] = match;
  const [username = '', ...rest] = login.split(':');
  const segments = path.split('/').filter((segment) => segment !== '');
  const masterName = kind === 'sentinel' ? (segments.shift() ?? '') : '';
  if (kind === 'sentinel' && masterName === '')
    throw new Error(
      'The URL has no master name after the Sentinels; add it as in redis+sentinel://host:26379/mymaster.',
    );
  const [database = '0', surplus] = segments;
  if (!/^\d{1,4}$/.test(database) || Number(database) > MAX_DATABASE || surplus !== undefined)
    throw new Error(FORMS);
  if (kind === 'cluster' && database !== '0')
    throw new Error('The URL has a database, but a Cluster has only database 0; remove it.');
  return {
    kind: kind as RedisAddress['kind'],
    nodes: parseNodes(
      hosts,
      kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT,
      kind === 'standalone',
    ),
    tls: secure === 's',
    username: decoded(username),
    password: decoded(rest.join(':')),
    database: Number(database),
    masterName: decoded(masterName) ?? '',
    sentinelLogin: undefined,
    sentinelTls: secure === 's',
  };
}

function parseNodes(hosts: string, defaultPort: number, single: boolean): RedisAddress['nodes'] {
  const nodes = hosts.split(',').map((item): RedisNode => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(item.trim());
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3] ?? defaultPort);
    if (host === undefined || port < 1 || port > 65_535) throw new Error(FORMS);
    return { host, port };
  });
  const [first, ...others] = nodes;
  if (first === undefined || nodes.length > MAX_NODES || (single && others.length > 0))
    throw new Error(FORMS);
  return [first, ...others];
}

function decoded(text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error('The user, password or master name in the URL is not valid percent-encoding.');
  }
}
