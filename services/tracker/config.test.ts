import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '../shared/errors.ts';
import { readTrackerConfig } from './config.ts';

function problems(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readTrackerConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration of the tracker', () => {
  test('needs nothing but leave to be open', () => {
    expect(readTrackerConfig({ TRACKER_ALLOW_UNAUTHENTICATED: 'true' })).toMatchObject({
      listen: { host: '0.0.0.0', port: 8850 },
      opsListen: { host: '0.0.0.0', port: 9090 },
      ttlSeconds: 60,
      limits: { peers: 10_000 },
      redis: undefined,
      warnings: [],
    });
  });

  test.each(['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'])(
    'may be open on loopback: %s',
    (listen) => {
      expect(problems({ TRACKER_LISTEN: listen })).toEqual([]);
    },
  );

  test.each([undefined, '0.0.0.0:1', '[::]:1', '192.168.0.1:1', '127.example.org:1'])(
    'may not be open by accident: %s',
    (listen) => {
      expect(problems({ TRACKER_LISTEN: listen }).join()).toContain('TRACKER_ALLOW_UNAUTHENTICATED=true');
    },
  );

  test('is closed by a tokens file', () => {
    expect(readTrackerConfig({ TRACKER_TOKENS_FILE: '/run/secrets/tokens' })).toMatchObject({
      tokensFile: '/run/secrets/tokens',
    });
  });

  test('shows every problem at once, and no password', () => {
    const found = problems({
      TRACKER_TTL_SECONDS: 'x',
      TRACKER_MAX_PEERS: '0',
      TRACKER_REDIS_URL: 'redis://:hunter2@',
    });
    expect(found).toHaveLength(4);
    expect(found.join()).not.toContain('hunter2');
  });

  test('takes the password of Redis from a file, and refuses what contradicts itself', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rustory-config-'));
    const file = join(directory, 'password');
    writeFileSync(file, 'from-a-file\n');
    const given = { TRACKER_LISTEN: '127.0.0.1:1', TRACKER_REDIS_PASSWORD_FILE: file };
    expect(readTrackerConfig({ ...given, TRACKER_REDIS_URL: 'redis://r' }).redis?.password).toBe(
      'from-a-file',
    );
    expect(problems(given).join()).toContain('without TRACKER_REDIS_URL');
    expect(problems({ ...given, TRACKER_REDIS_URL: 'redis://:other@r' }).join()).toContain(
      'has a password already',
    );
    writeFileSync(file, '\n');
    expect(problems({ ...given, TRACKER_REDIS_URL: 'redis://r' }).join()).toContain('is empty');
    rmSync(directory, { recursive: true });
  });

  test('takes the URL of Redis from a file, and never repeats it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rustory-config-'));
    const file = join(directory, 'url');
    const given = { TRACKER_LISTEN: '127.0.0.1:1', TRACKER_REDIS_URL_FILE: file };
    writeFileSync(file, 'redis+sentinel://:hunter2@s-0,s-1/mymaster\n');
    expect(readTrackerConfig(given).redis).toMatchObject({
      kind: 'sentinel',
      password: 'hunter2',
      masterName: 'mymaster',
    });
    expect(problems({ ...given, TRACKER_REDIS_URL: 'redis://r' })).toEqual([
      'TRACKER_REDIS_URL, TRACKER_REDIS_URL_FILE: both are set; set only one of them.',
    ]);
    writeFileSync(file, 'http://:hunter2@r');
    expect(problems(given).join()).toContain(`TRACKER_REDIS_URL_FILE: ${file}: not a usable URL`);
    expect(problems(given).join()).not.toContain('hunter2');
    rmSync(directory, { recursive: true });
  });

  test('knows its proxies', () => {
    const { trustedProxies } = readTrackerConfig({
      TRACKER_LISTEN: '127.0.0.1:1',
      TRACKER_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
    });
    expect(trustedProxies).toEqual([
      { address: '10.0.0.0', prefix: 8 },
      { address: '::1', prefix: 128 },
    ]);
    expect(problems({ TRACKER_TRUSTED_PROXIES: 'ingress' }).join()).toContain('TRACKER_TRUSTED_PROXIES: ');
  });

  test('warns of variables nobody reads', () => {
    const { warnings } = readTrackerConfig({
      TRACKER_LISTEN: '127.0.0.1:1',
      TRACKER_TTL: '1',
      TRACKER_SERVICE_HOST: 'x',
    });
    expect(warnings).toEqual([
      'TRACKER_TTL is not a known variable and has no effect; --help lists the variables.',
    ]);
  });
});
