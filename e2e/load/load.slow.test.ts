// The load programs with small numbers: they run to their end and print what docs/relay-load.md quotes.
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { finished, startProgram } from '../../scripts/processes.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';

afterEach(cleanUp);

test.each([
  { program: 'bulk', args: ['0.05'], output: /^bytes: 0\.05 GiB in .* MB\/s$/m },
  { program: 'hostile', args: ['200', '100'], output: /^silence: 200 connections .* 0 failed;/m },
  { program: 'reservations', args: ['20', '0.05', '20'], output: /^20 reservations: \d+ MiB$/m },
  { program: 'restart', args: ['20'], output: /^attempts: 20 of 20 devices$/m },
  { program: 'stalled', args: ['10', '5'], output: /^10 stalled circuits: \d+ MiB/m },
])('$program measures a relay under a small load', async ({ program, args, output }) => {
  const running = startProgram(program, join(import.meta.dirname, `${program}.ts`), { args });
  onCleanup(async () => running.stop());
  const { code, stdout, stderr } = await finished(running);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(output);
  expect(stdout).not.toContain('NaN');
});
