import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const TEXTS = { bash: 'ls\n', zsh: ': 1700000000:0;ls\n', fish: '- cmd: ls\n  when: 1700000000\n' };
type ShellName = keyof typeof TEXTS;

/** Writes a history file below the home directory that was last changed this number of days ago. */
function write(name: string, text: string, daysAgo = 0): string {
  const path = join(device.home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  const time = Date.now() / 1000 - daysAgo * 86_400;
  utimesSync(path, time, time);
  return path;
}

/** The variables with HOME replaced in their values. */
const inHome = (variables: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, value.replace('HOME', device.home)]),
  );

async function importWith(args: string[], variables: Record<string, string> = {}) {
  const result = await device.run(['import', ...args], inHome(variables));
  return { ...result, stderr: result.stderr.replaceAll(/\s+/g, ' ') };
}

describe('an import without a file', () => {
  test.each<[ShellName, Record<string, string>, string]>([
    ['bash', {}, '.bash_history'],
    ['bash', { HISTFILE: 'HOME/other/commands' }, 'other/commands'],
    ['bash', { HISTFILE: '~/.bash_other' }, '.bash_other'],
    ['bash', { HISTFILE: 'HOME/.zsh_history' }, '.bash_history'],
    ['bash', { HISTFILE: '' }, '.bash_history'],
    ['zsh', {}, '.zsh_history'],
    ['zsh', {}, '.histfile'],
    ['zsh', { ZDOTDIR: 'HOME/.config/zsh' }, '.config/zsh/.zsh_history'],
    ['zsh', { ZDOTDIR: 'HOME/.config/zsh' }, '.zsh_history'],
    ['zsh', { ZDOTDIR: 'HOME/.config/zsh', HISTFILE: 'HOME/.cache/zsh' }, '.cache/zsh'],
    ['fish', {}, '.local/share/fish/fish_history'],
    ['fish', { XDG_DATA_HOME: 'HOME/data' }, 'data/fish/fish_history'],
    ['fish', { fish_history: 'work' }, '.local/share/fish/work_history'],
    ['fish', { fish_history: 'default', XDG_DATA_HOME: 'HOME/data' }, 'data/fish/fish_history'],
    ['fish', { fish_history: 'a/b' }, '.local/share/fish/fish_history'],
  ])('reads the file of %s with %j in %s, and says so', async (shell, variables, name) => {
    const path = write(name, TEXTS[shell], 3);
    const { code, stdout, stderr } = await importWith(['--shell', shell], variables);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('imported 1 commands') });
    expect(stderr).toContain(`Reading ${path}, last changed 3 days ago.`);
  });

  test('reads the file of the login shell', async () => {
    write('.bash_history', TEXTS.bash);
    write('.zsh_history', TEXTS.zsh);
    const { stdout } = await importWith(['--json'], { SHELL: '/usr/bin/zsh' });
    expect(JSON.parse(stdout)).toMatchObject({
      shell: 'zsh',
      path: join(device.home, '.zsh_history'),
      imported: 1,
    });
    expect(await importWith([], { SHELL: '/bin/tcsh' })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/login shell "tcsh" is not a known shell.*--shell/),
    });
  });

  test('names the other files that exist, with their age', async () => {
    const old = write('.zsh_history', TEXTS.zsh, 40);
    const used = write('.config/zsh/.zsh_history', ': 1700000001:0;pwd\n');
    const { stderr, stdout } = await importWith(['--shell', 'zsh'], { ZDOTDIR: 'HOME/.config/zsh' });
    expect(stdout).toContain('imported 1 commands');
    expect(stderr).toContain(`Reading ${used}, last changed 0 s ago.`);
    expect(stderr).toContain(`${old}, last changed 40 days ago, also exists and is not imported`);
  });

  test.each<[ShellName, Record<string, string>, string]>([
    ['zsh', { HISTFILE: 'HOME/.cache/zsh' }, '.zsh_history'],
    ['bash', { HISTFILE: 'HOME/.bash_new' }, '.bash_history'],
    ['fish', { XDG_DATA_HOME: 'HOME/data' }, '.local/share/fish/fish_history'],
  ])('of %s with %j does not read %s, which may be old', async (shell, variables, name) => {
    const path = write(name, TEXTS[shell], 40);
    const { code, stderr } = await importWith(['--shell', shell], variables);
    expect(code).toBe(1);
    expect(stderr).toContain(`${path}, last changed 40 days ago, exists, and is not imported`);
    expect(stderr).toContain(`import --shell ${shell} ${path}`);
  });

  test('names all places when no file exists', async () => {
    const { code, stderr } = await importWith(['--shell', 'zsh'], { ZDOTDIR: 'HOME/z', HISTFILE: 'HOME/h' });
    expect(code).toBe(1);
    for (const name of ['h (from HISTFILE)', 'z/.zsh_history (from ZDOTDIR)', '.zsh_history', '.histfile'])
      expect(stderr).toContain(join(device.home, name));
  });
});

test('a file without times is dated before its last change', async () => {
  const path = write('.bash_history', 'ls\npwd\n', 10);
  await importWith([path]);
  const { stdout } = await device.run(['entries', '--json']);
  const times = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { ts: number }).ts);
  const changed = Math.floor(Date.now() / 1000 - 10 * 86_400);
  expect(times[1]).toBeGreaterThan(changed - 600);
  expect(times[1]).toBeLessThanOrEqual(changed);
  expect(times[0]).toBe((times[1] ?? 0) - 1);
});
