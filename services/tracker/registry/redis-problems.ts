// Why Redis cannot be used: reasons, as metric labels, and their detection in errors.
import { describeError } from '../../shared/errors.ts';

/** The least version of Redis. The registry uses `GETDEL` and `ZRANGE … BYSCORE REV`. */
export const LEAST_REDIS_VERSION = '6.2';

/** Reasons; docs/metrics.md shows the sentences. `effect` is the start of the sentence in /readyz and in the log. */
export const REDIS_PROBLEMS = {
  unreachable: {
    effect: 'Redis does not respond',
    doc: 'There is no connection to Redis, or it sends nothing. Check whether Redis runs, and the network.',
  },
  login: {
    effect: 'Redis refuses the login',
    doc: 'The user or the password is wrong or missing. Correct `TRACKER_REDIS_URL` or the file with the password; files are read again at each new connection.',
  },
  permission: {
    effect: 'the ACL of the user of Redis has not all required permissions',
    doc: 'The ACL of the user lacks a command or a key pattern. The registry requires `~rustory:*` and the commands in docs/decisions/tracker-registry-in-redis.md.',
  },
  full: {
    effect: 'Redis is full',
    doc: 'Redis is at its `maxmemory` and evicts nothing. Raise it, or lower `TRACKER_MAX_PEERS`.',
  },
  read_only: {
    effect: 'Redis is a read-only replica',
    doc: 'The server is a replica. After a failover this ends within seconds; otherwise the URL does not lead to the master.',
  },
  replicas: {
    effect: 'Redis refuses writes because it has too few replicas',
    doc: 'Fewer replicas are connected than `min-replicas-to-write` requires.',
  },
  disk: {
    effect: 'Redis refuses writes because it cannot save to its disk',
    doc: 'Redis cannot write its snapshot or its log (`MISCONF`). Free its disk, or turn persistence off: the registry does not require it.',
  },
  loading: {
    effect: 'Redis is not ready yet',
    doc: 'Redis loads its data, waits for its master, or executes a slow script. This ends by itself.',
  },
  cluster_down: {
    effect: 'the Redis Cluster is down',
    doc: 'Slots of the Cluster have no master (`CLUSTERDOWN`). Start the missing nodes, or repair the Cluster.',
  },
  version: {
    effect: 'the version of Redis is too old',
    doc: `The server is older than Redis ${LEAST_REDIS_VERSION}, or lacks a command. Update it.`,
  },
  other: {
    effect: 'Redis refuses commands',
    doc: 'Another error of Redis. The log has its text.',
  },
} as const satisfies Record<string, { readonly effect: string; readonly doc: string }>;

export type RedisProblem = keyof typeof REDIS_PROBLEMS;

/** The server is older than `LEAST_REDIS_VERSION`. */
export class RedisVersionError extends Error {
  override readonly name = 'RedisVersionError';
  readonly code = 'REDIS_VERSION';
}

// Errors of scripts contain the error of the command that failed, at different places in different versions. The order
// matters: the text of `MISCONF` mentions other reasons.
const PATTERNS: ReadonlyArray<readonly [RedisProblem, RegExp]> = [
  ['disk', /\bMISCONF\b/],
  ['full', /\bOOM\b/],
  ['read_only', /\bREADONLY\b|can't write against a read only replica/],
  ['replicas', /\bNOREPLICAS\b/],
  ['loading', /\b(?:LOADING|MASTERDOWN|BUSY)\b/],
  ['cluster_down', /\bCLUSTERDOWN\b|slot not served/i],
  ['login', /\b(?:WRONGPASS|NOAUTH)\b|invalid password|invalid username-password/i],
  ['permission', /\bNOPERM\b|executing the script can't|no permissions? to/i],
  ['version', /unknown command|unknown Redis command|wrong number of arguments for 'auth'/i],
];

/** The reason of an error, by its text and those of its causes. */
export function redisProblemOf(error: unknown): RedisProblem {
  if (error instanceof RedisVersionError) return 'version';
  const text = describeError(error);
  const found = PATTERNS.find(([, pattern]) => pattern.test(text));
  if (found !== undefined) return found[0];
  return isReply(error) ? 'other' : 'unreachable';
}

/** Whether Redis itself sent the error. */
export function isReply(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'name' in error && error.name === 'ReplyError';
}

/** Whether a node of a Cluster refused a command because another one has the slot. */
export function isMoved(error: unknown): boolean {
  return /\bMOVED \d/.test(describeError(error));
}

/** The reason in words, with the text of the error. */
export function describeRedisProblem(reason: RedisProblem, error: unknown): string {
  return `${REDIS_PROBLEMS[reason].effect}: ${describeError(error)}`;
}

/** Throws when the text of `INFO server` has a version below the least one. Other text is ignored. */
export function checkVersion(info: string): void {
  const version = /^redis_version:(\d+(?:\.\d+)*)/m.exec(info)?.[1];
  if (version === undefined || isAtLeast(version, LEAST_REDIS_VERSION)) return;
  throw new RedisVersionError(
    `The server has version ${version}, and the tracker requires ${LEAST_REDIS_VERSION} or newer; update Redis.`,
  );
}

function isAtLeast(version: string, least: string): boolean {
  const given = version.split('.').map(Number);
  for (const [index, part] of least.split('.').map(Number).entries()) {
    const own = given[index] ?? 0;
    if (own !== part) return own > part;
  }
  return true;
}
