import { describe, expect, test } from '@jest/globals';
import { parseRedisUrl } from './redis-url.ts';

describe('parseRedisUrl', () => {
  test('parses one server, with defaults', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'localhost', port: 6379 }],
      tls: false,
      username: undefined,
      password: undefined,
      database: 0,
      masterName: '',
      sentinelLogin: undefined,
      sentinelTls: false,
    });
  });

  test('parses a login, a port, a database and TLS', () => {
    expect(parseRedisUrl('rediss://al%69ce:p%40ss:word@[::1]:7000/3')).toMatchObject({
      nodes: [{ host: '::1', port: 7000 }],
      tls: true,
      username: 'alice',
      password: 'p@ss:word',
      database: 3,
    });
    expect(parseRedisUrl('redis://:secret@r/0')).toMatchObject({ username: undefined, password: 'secret' });
  });

  test('parses Sentinels and their master', () => {
    expect(parseRedisUrl('redis+sentinel://:pw@s1:1,s2/mymaster/2')).toMatchObject({
      kind: 'sentinel',
      nodes: [
        { host: 's1', port: 1 },
        { host: 's2', port: 26_379 },
      ],
      masterName: 'mymaster',
      database: 2,
    });
  });

  test('parses nodes of a Cluster', () => {
    expect(parseRedisUrl('rediss+cluster://c1:7000,c2:7001')).toMatchObject({ kind: 'cluster', tls: true });
  });

  test.each([
    ['localhost:6379'],
    ['http://localhost'],
    ['redis://'],
    ['redis://a,b'],
    ['redis://host:0'],
    ['redis://host:70000'],
    ['redis://host/x'],
    ['redis://host/1/2'],
    ['redis+sentinel://host'],
    ['redis+cluster://host/1'],
    ['redis://:%zz@host'],
    [`redis+cluster://${'h,'.repeat(17)}h`],
  ])('rejects %s', (text) => {
    expect(() => parseRedisUrl(text)).toThrow(/^The .*\.$/);
  });

  test('does not repeat a password in an error', () => {
    expect(() => parseRedisUrl('redis://:hunter2%zz@host:1')).toThrow(expect.not.stringContaining('hunter2'));
  });
});
