// The settings of Redis: the URL, and what files and variables add to it.
import { describeError } from '../../shared/errors.ts';
import { readSmallFile } from '../../shared/files.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

/** Maximum size of a file with a URL or a password, in bytes. */
const MAX_SECRET_BYTES = 4_096;

/** The values of the variables; a variable that could not be read is absent, and its problem is already reported. */
interface RedisValues {
  readonly TRACKER_REDIS_URL?: RedisAddress | undefined;
  readonly TRACKER_REDIS_URL_FILE?: RedisAddress | undefined;
  readonly TRACKER_REDIS_PASSWORD_FILE?: string | undefined;
  readonly TRACKER_REDIS_SENTINEL_USERNAME?: string | undefined;
  readonly TRACKER_REDIS_SENTINEL_PASSWORD_FILE?: string | undefined;
  readonly TRACKER_REDIS_SENTINEL_TLS?: boolean | undefined;
}

/** The address of Redis with all settings. Adds problems as whole sentences. */
export function readRedis(
  values: RedisValues,
  isGiven: (name: string) => boolean,
  problems: string[],
): RedisAddress | undefined {
  const {
    TRACKER_REDIS_URL: url,
    TRACKER_REDIS_URL_FILE: urlFile,
    TRACKER_REDIS_PASSWORD_FILE: password,
  } = values;
  const hasUrl = isGiven('TRACKER_REDIS_URL');
  const hasUrlFile = isGiven('TRACKER_REDIS_URL_FILE');
  if (hasUrl && hasUrlFile)
    problems.push('TRACKER_REDIS_URL, TRACKER_REDIS_URL_FILE: both are set; set only one of them.');
  const redis = url ?? urlFile;
  if (isGiven('TRACKER_REDIS_PASSWORD_FILE') && !hasUrl && !hasUrlFile)
    problems.push(
      'TRACKER_REDIS_PASSWORD_FILE: set without TRACKER_REDIS_URL or TRACKER_REDIS_URL_FILE; set one of them too.',
    );
  if (password !== undefined && redis?.password !== undefined)
    problems.push(
      'TRACKER_REDIS_PASSWORD_FILE: the URL of Redis has a password already; remove one of them.',
    );
  if (redis === undefined) return undefined;
  return {
    ...redis,
    password: redis.password ?? password,
    ...readSentinels(values, redis, isGiven, problems),
  };
}

/** The settings of the Sentinels. */
function readSentinels(
  values: RedisValues,
  redis: RedisAddress,
  isGiven: (name: string) => boolean,
  problems: string[],
): Pick<RedisAddress, 'sentinelLogin' | 'sentinelTls'> {
  const {
    TRACKER_REDIS_SENTINEL_USERNAME: username,
    TRACKER_REDIS_SENTINEL_PASSWORD_FILE: password,
    TRACKER_REDIS_SENTINEL_TLS: tls = redis.sentinelTls,
  } = values;
  const given = (['USERNAME', 'PASSWORD_FILE', 'TLS'] as const)
    .map((name) => `TRACKER_REDIS_SENTINEL_${name}`)
    .filter(isGiven);
  if (given.length > 0 && redis.kind !== 'sentinel')
    problems.push(`${given.join(', ')}: set, but the URL of Redis has no Sentinels; use redis+sentinel://.`);
  if (username !== undefined && !isGiven('TRACKER_REDIS_SENTINEL_PASSWORD_FILE'))
    problems.push(
      'TRACKER_REDIS_SENTINEL_USERNAME: set without a password; set TRACKER_REDIS_SENTINEL_PASSWORD_FILE too.',
    );
  return { sentinelLogin: password === undefined ? undefined : { username, password }, sentinelTls: tls };
}

/** A file with a secret, without the space around it. */
export function readSecretFile(path: string): string {
  const content = readSmallFile(path, MAX_SECRET_BYTES).toString('utf8').trim();
  if (content === '') throw new Error(`${path}: the file is empty.`);
  return content;
}

export function readRedisUrlFile(path: string): RedisAddress {
  const url = readSecretFile(path);
  try {
    return parseRedisUrl(url);
  } catch (error) {
    throw new Error(`${path}: ${describeError(error)}.`, { cause: error });
  }
}
