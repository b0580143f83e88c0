import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);
const inConfig = (name: string): string => device.inConfig(name);

describe('doctor', () => {
  test('checks who can read and change the files and folders, and says how to fix it', async () => {
    await run(['init']);
    await run(['record', '--cmd', 'ls']);
    const folder = join(device.home, '.rustory');
    const database = join(folder, 'history.db');
    const paths = [inConfig('config.toml'), inConfig('swarm.key'), inConfig('identity.key'), database];
    for (const path of paths) chmodSync(path, 0o644);
    writeFileSync(`${database}-wal`, '', { mode: 0o640 });
    chmodSync(folder, 0o755);
    chmodSync(inConfig('.'), 0o775);
    const { code, stdout } = await run(['doctor', '--json']);
    expect(code).toBe(0);
    const { findings } = JSON.parse(stdout) as { findings: Array<{ state: string; advice?: string }> };
    const commands = findings
      .filter(({ state }) => state === 'warning')
      .flatMap(({ advice }) => /chmod \d+ .*(?=\.$)/.exec(advice ?? '')?.[0] ?? []);
    expect(commands).toEqual([
      `chmod 600 ${inConfig('config.toml')}`,
      `chmod 700 ${join(inConfig('.'))}`.replace(/\/$/, ''),
      `chmod 600 ${inConfig('swarm.key')}`,
      `chmod 600 ${inConfig('identity.key')}`,
      `chmod 600 ${database}`,
      `chmod 700 ${folder}`,
    ]);
    for (const command of commands) execFileSync('sh', ['-c', command]);
    expect((await run(['doctor'])).stdout).not.toContain('chmod');
  });

  test('quotes paths in its commands', async () => {
    await run(['init']);
    const path = join(device.home, "it's mine", 'history.db');
    mkdirSync(dirname(path), { mode: 0o755 });
    const { stdout } = await run(['doctor', '--json', '--db-path', path]);
    const { findings } = JSON.parse(stdout) as { findings: Array<{ advice?: string }> };
    const advice = findings.find((finding) => finding.advice?.startsWith('Run chmod 700') === true)?.advice;
    execFileSync('sh', ['-c', advice?.replace(/^Run |\.$/g, '') ?? 'false']);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
  });
});
