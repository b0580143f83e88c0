import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { makeCertificate } from '../../testing/certificates.ts';
import { ConfigError } from '../shared/errors.ts';
import { readTrackerConfig } from './config.ts';

const LOOPBACK = { TRACKER_LISTEN: '127.0.0.1:1' };

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'rustory-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readTrackerConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** The names of the variables that have a problem. */
function variablesOf(problems: readonly string[]): string[] {
  return problems.map((problem) => problem.slice(0, problem.indexOf(': ')));
}

describe('readTrackerConfig', () => {
  test('has a default for every variable, but requires tokens or a permission', () => {
    expect(readTrackerConfig({ TRACKER_ALLOW_UNAUTHENTICATED: 'true' })).toMatchObject({
      listen: { host: '0.0.0.0', port: 8850 },
      opsListen: { host: '0.0.0.0', port: 9090 },
      ttlSeconds: 60,
      limits: { peers: 10_000 },
      redis: undefined,
      tokens: undefined,
      warnings: [],
    });
  });

  test.each(['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'])(
    'does not require tokens on the loopback address %s',
    (listen) => {
      expect(problemsOf({ TRACKER_LISTEN: listen })).toEqual([]);
    },
  );

  test.each([undefined, '0.0.0.0:1', '[::]:1', '192.168.0.1:1', '127.example.org:1'])(
    'requires tokens or TRACKER_ALLOW_UNAUTHENTICATED on the address %s',
    (listen) => {
      const problems = problemsOf({ TRACKER_LISTEN: listen });
      expect(problems).toHaveLength(1);
      expect(problems.join()).toContain('TRACKER_ALLOW_UNAUTHENTICATED=true');
    },
  );

  test('reads the tokens, and warns of short ones', () => {
    const config = readTrackerConfig({ TRACKER_TOKENS_FILE: file('tokens', 'short-token user=alice\n') });
    expect(config.tokens?.find('short-token')).toMatchObject({ userId: 'alice' });
    expect(variablesOf(config.warnings)).toEqual(['TRACKER_TOKENS_FILE']);
  });

  test('refuses a star without tokens, also where none are required, and warns of one without a hub', () => {
    const open = { TRACKER_STAR: 'true', TRACKER_ALLOW_UNAUTHENTICATED: 'true' };
    expect(variablesOf(problemsOf({ ...LOOPBACK, TRACKER_STAR: 'true' }))).toEqual(['TRACKER_STAR']);
    expect(variablesOf(problemsOf(open))).toEqual(['TRACKER_STAR']);
    const star = { TRACKER_STAR: 'true', TRACKER_TOKENS_FILE: file('devices', 'a-token-of-the-devices\n') };
    expect(variablesOf(readTrackerConfig(star).warnings)).toEqual(['TRACKER_STAR']);
    const withHub = file('hub', 'a-token-of-the-devices\na-token-of-the-hub user=alice hub\n');
    expect(readTrackerConfig({ ...star, TRACKER_TOKENS_FILE: withHub })).toMatchObject({
      star: true,
      warnings: [],
    });
    expect(readTrackerConfig(LOOPBACK).star).toBe(false);
  });

  test('a limit of 0 requests per minute means no limit', () => {
    const { limits } = readTrackerConfig({ ...LOOPBACK, TRACKER_PEER_REQUESTS_PER_MINUTE: '0' });
    expect(limits).toMatchObject({ peerRequestsPerMinute: undefined, tokenRequestsPerMinute: 600_000 });
  });

  test('reads the password of Redis from a file', () => {
    const config = readTrackerConfig({
      ...LOOPBACK,
      TRACKER_REDIS_URL: 'redis://r',
      TRACKER_REDIS_PASSWORD_FILE: file('password', 'from-a-file\n'),
    });
    expect(config.redis?.password).toBe('from-a-file');
  });

  test('reads the URL of Redis from a file', () => {
    const url = file('url', 'redis+sentinel://:hunter2@s-0,s-1/mymaster\n');
    expect(readTrackerConfig({ ...LOOPBACK, TRACKER_REDIS_URL_FILE: url }).redis).toMatchObject({
      kind: 'sentinel',
      password: 'hunter2',
      masterName: 'mymaster',
    });
  });

  test('reads trusted proxies', () => {
    const { trustedProxies } = readTrackerConfig({
      ...LOOPBACK,
      TRACKER_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
    });
    expect(trustedProxies).toEqual([
      { address: '10.0.0.0', prefix: 8 },
      { address: '::1', prefix: 128 },
    ]);
  });

  test('warns of unknown variables, but not of the service links of Kubernetes', () => {
    const { warnings } = readTrackerConfig({ ...LOOPBACK, TRACKER_TTL: '1', TRACKER_SERVICE_HOST: 'x' });
    expect(warnings).toEqual([
      'TRACKER_TTL is not a known variable and has no effect; --help lists the variables.',
    ]);
  });
});

// Values are functions, because the files exist only while the tests run.
const password = (): string => file('password', 'hunter2\n');
const goodUrl = (): string => file('url', 'redis://r\n');
const urlWithPassword = (): string => file('url', 'redis://:hunter2@r\n');
const badUrl = (): string => file('url', 'http://:hunter2@r\n');
const missing = (): string => join(directory, 'missing');
const empty = (): string => file('empty', '\n');
const badTokens = (): string => file('tokens', 'hunter2-token admin\n"hunter2"\n');

describe('the problems of a configuration', () => {
  test.each([
    [
      'the PROXY protocol without trusted proxies',
      { TRACKER_PROXY_PROTOCOL: 'true' },
      ['TRACKER_PROXY_PROTOCOL'],
    ],
    ['a host with a port', { TRACKER_ALLOWED_HOSTS: 'tracker.example.org:8850' }, ['TRACKER_ALLOWED_HOSTS']],
    [
      'single values',
      { TRACKER_TTL_SECONDS: 'x', TRACKER_MAX_PEERS: '0', TRACKER_TRUSTED_PROXIES: 'ingress' },
      ['TRACKER_TTL_SECONDS', 'TRACKER_MAX_PEERS', 'TRACKER_TRUSTED_PROXIES'],
    ],
    [
      'a wrong time to live, two URLs, and no tokens',
      {
        TRACKER_LISTEN: '0.0.0.0:1',
        TRACKER_TTL_SECONDS: 'x',
        TRACKER_REDIS_URL: 'redis://:hunter2@r',
        TRACKER_REDIS_URL_FILE: goodUrl,
      },
      ['TRACKER_TTL_SECONDS', 'TRACKER_REDIS_URL, TRACKER_REDIS_URL_FILE', 'TRACKER_TOKENS_FILE'],
    ],
    [
      'two URLs and two passwords',
      {
        TRACKER_REDIS_URL: 'redis://:hunter2@r',
        TRACKER_REDIS_URL_FILE: goodUrl,
        TRACKER_REDIS_PASSWORD_FILE: password,
      },
      ['TRACKER_REDIS_URL, TRACKER_REDIS_URL_FILE', 'TRACKER_REDIS_PASSWORD_FILE'],
    ],
    [
      'a password without a URL, and a wrong time to live',
      { TRACKER_TTL_SECONDS: '0', TRACKER_REDIS_PASSWORD_FILE: password },
      ['TRACKER_TTL_SECONDS', 'TRACKER_REDIS_PASSWORD_FILE'],
    ],
    [
      'a password in addition to that of the URL',
      { TRACKER_REDIS_URL_FILE: urlWithPassword, TRACKER_REDIS_PASSWORD_FILE: password },
      ['TRACKER_REDIS_PASSWORD_FILE'],
    ],
    [
      'a wrong URL, reported once although there is a password for it',
      { TRACKER_REDIS_URL: 'redis://:hunter2@', TRACKER_REDIS_PASSWORD_FILE: password },
      ['TRACKER_REDIS_URL'],
    ],
    [
      'two URLs, one of them wrong',
      { TRACKER_REDIS_URL: 'redis://r', TRACKER_REDIS_URL_FILE: badUrl },
      ['TRACKER_REDIS_URL_FILE', 'TRACKER_REDIS_URL, TRACKER_REDIS_URL_FILE'],
    ],
    [
      'settings of Sentinels without Sentinels',
      { TRACKER_REDIS_URL: 'redis://r', TRACKER_REDIS_SENTINEL_PASSWORD_FILE: password },
      ['TRACKER_REDIS_SENTINEL_PASSWORD_FILE'],
    ],
    [
      'a user of the Sentinels without a password',
      { TRACKER_REDIS_URL: 'redis+sentinel://s/m', TRACKER_REDIS_SENTINEL_USERNAME: 'watcher' },
      ['TRACKER_REDIS_SENTINEL_USERNAME'],
    ],
    ['a wrong URL in a file', { TRACKER_REDIS_URL_FILE: badUrl }, ['TRACKER_REDIS_URL_FILE']],
    [
      'files that are missing or empty',
      {
        TRACKER_REDIS_URL_FILE: missing,
        TRACKER_REDIS_PASSWORD_FILE: empty,
        TRACKER_TOKENS_FILE: missing,
      },
      ['TRACKER_REDIS_URL_FILE', 'TRACKER_REDIS_PASSWORD_FILE', 'TRACKER_TOKENS_FILE'],
    ],
    [
      'tokens that are unreadable, together with a cross-field problem, and no second problem about access',
      {
        TRACKER_LISTEN: '0.0.0.0:1',
        TRACKER_TOKENS_FILE: badTokens,
        TRACKER_REDIS_PASSWORD_FILE: password,
      },
      ['TRACKER_REDIS_PASSWORD_FILE', 'TRACKER_TOKENS_FILE', 'TRACKER_TOKENS_FILE'],
    ],
    [
      'a wrong permission, which neither hides nor causes a problem about access',
      { TRACKER_LISTEN: '0.0.0.0:1', TRACKER_ALLOW_UNAUTHENTICATED: 'yes' },
      ['TRACKER_ALLOW_UNAUTHENTICATED'],
    ],
  ] as [string, Record<string, string | (() => string)>, string[]][])(
    'are reported at once, as sentences without secrets: %s',
    (_, given, variables) => {
      const environment = Object.fromEntries(
        Object.entries<string | (() => string)>({ ...LOOPBACK, ...given }).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : value(),
        ]),
      );
      const problems = problemsOf(environment);
      expect(variablesOf(problems)).toEqual(variables);
      for (const problem of problems) expect(problem).toMatch(/\.$/);
      expect(problems.join()).not.toContain('hunter2');
    },
  );
});

describe('TLS', () => {
  const { cert, key } = makeCertificate();

  function pair(): Record<string, string> {
    return {
      ...LOOPBACK,
      TRACKER_TLS_CERT_FILE: file('tls.crt', cert),
      TRACKER_TLS_KEY_FILE: file('tls.key', key),
    };
  }

  test('is off without files, and on with a certificate and its key', () => {
    expect(readTrackerConfig(LOOPBACK)).toMatchObject({ tls: undefined, plainListen: undefined });
    expect(readTrackerConfig({ ...pair(), TRACKER_PLAIN_LISTEN: '127.0.0.1:8851' })).toMatchObject({
      tls: { cert: Buffer.from(cert), key: Buffer.from(key) },
      plainListen: { host: '127.0.0.1', port: 8851 },
    });
  });

  test.each([
    ['TRACKER_TLS_CERT_FILE', 'TRACKER_TLS_KEY_FILE'],
    ['TRACKER_TLS_KEY_FILE', 'TRACKER_TLS_CERT_FILE'],
  ] as const)('requires with %s also %s', (set, other) => {
    expect(problemsOf({ ...LOOPBACK, [set]: pair()[set] })).toEqual([
      `${set}: set without ${other}; set both, or neither of them to serve http.`,
    ]);
  });

  test('reports the problems of both files', () => {
    const absent = { TRACKER_TLS_CERT_FILE: '/nowhere/tls.crt', TRACKER_TLS_KEY_FILE: '/nowhere/tls.key' };
    expect(variablesOf(problemsOf({ ...LOOPBACK, ...absent }))).toEqual(Object.keys(absent));
  });

  test('is required for a plain port, which has another port', () => {
    expect(variablesOf(problemsOf({ ...LOOPBACK, TRACKER_PLAIN_LISTEN: '127.0.0.1:2' }))).toEqual([
      'TRACKER_PLAIN_LISTEN',
    ]);
    expect(variablesOf(problemsOf({ ...pair(), TRACKER_PLAIN_LISTEN: '0.0.0.0:1' }))).toContain(
      'TRACKER_PLAIN_LISTEN',
    );
  });

  test('does not permit a plain port without tokens for other machines', () => {
    expect(variablesOf(problemsOf({ ...pair(), TRACKER_PLAIN_LISTEN: '0.0.0.0:8851' }))).toEqual([
      'TRACKER_TOKENS_FILE',
    ]);
  });
});
