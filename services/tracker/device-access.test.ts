import { describe, expect, test } from '@jest/globals';
import { createTestApp } from '../../testing/tracker-app.ts';
import { accessWarning } from './device-access.ts';

const TOKENS = { secret: { id: 'token', userId: undefined, readOnly: false, isHub: false } };
const WARNING = 'a device with a token sends no request to this address';

describe('the note about the address of a status page', () => {
  test.each<[string, string | undefined, boolean]>([
    ['http://tracker.lan:8850/', undefined, true],
    ['http://192.168.1.20:8850/', undefined, true],
    ['http://192.168.1.20:8850/', 'http', true],
    ['http://tracker.example.org/', 'http, https', true],
    ['http://tracker.example.org/', 'https', false],
    ['http://tracker.example.org/', 'HTTPS, http', false],
    ['https://tracker.example.org/', undefined, false],
    ['http://127.0.0.1:8850/', undefined, false],
    ['http://localhost:8850/', undefined, false],
    ['http://[::1]:8850/', undefined, false],
  ])('of %s with X-Forwarded-Proto %s exists: %s', (url, forwardedProto, expected) => {
    const warning = accessWarning({ url, forwardedProto, requiresToken: true });
    expect(warning !== undefined).toBe(expected);
    expect(accessWarning({ url, forwardedProto, requiresToken: false })).toBeUndefined();
  });

  test('is on the page, together with the rules for every address', async () => {
    const authorization = `Basic ${btoa('me:secret')}`;
    const app = createTestApp({}, TOKENS);
    const open = async (origin: string): Promise<string> =>
      (await app.get(`${origin}/`, { authorization })).text();
    const remote = await open('http://tracker.lan:8850');
    expect(remote).toContain(`opened at http://tracker.lan:8850`);
    expect(remote).toContain(WARNING);
    const local = await open('http://127.0.0.1:8850');
    expect(local).not.toContain(WARNING);
    for (const html of [remote, local]) {
      expect(html).toContain('It follows no redirect');
      expect(html).toContain('within 0.3 seconds at the first try');
    }
  });

  test('is not on the page of a tracker without tokens', async () => {
    const html = await (await createTestApp().get('http://tracker.lan:8850/')).text();
    expect(html).not.toContain(WARNING);
  });
});
