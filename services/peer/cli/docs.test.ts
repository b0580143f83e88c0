// Compares docs/peer.md with the tables in the code.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { listSettings, type Setting } from '../config/config.ts';
import { COMMANDS } from './cli.ts';
import { EXIT_CODES, SIGNAL_EXIT_CODES } from './exit-codes.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/peer.md'), 'utf8');
const HOME = '/home/ada';
const USER = 'ada';

/** The lines of the section's first table, without its head. */
function tableOf(heading: string): string[] {
  const section = page.slice(page.indexOf(`${heading}\n`));
  const [, table = ''] = /((?:^\|.*\n)+)/m.exec(section) ?? [];
  return table.trimEnd().split('\n').slice(2);
}

function defaultOf({ name, fallback }: Setting): string {
  if (fallback === undefined) return ' ';
  if (name === 'userId') return ' the login name ';
  return name === 'deviceId' ? ' the host name ' : ` \`${fallback.replace(HOME, '~')}\` `;
}

test('docs/peer.md has every command with its arguments', () => {
  expect(tableOf('## Commands')).toEqual(
    COMMANDS.map(({ usage, summary }) => `| \`${usage.replaceAll('|', String.raw`\|`)}\` | ${summary} |`),
  );
  for (const { alias } of COMMANDS) if (alias !== undefined) expect(page).toContain(`\`${alias}\``);
});

test('docs/peer.md has every exit code', () => {
  expect(tableOf('### Exit codes')).toEqual([
    ...Object.values(EXIT_CODES).map(({ code, meaning }) => `| ${code} | ${meaning} |`),
    ...Object.entries(SIGNAL_EXIT_CODES).map(([signal, code]) => `| ${code} | ended by ${signal} |`),
  ]);
});

test('docs/peer.md has every setting with its default and its documentation', () => {
  const settings = listSettings({ HOME, USER });
  expect(settings.find(({ name }) => name === 'deviceId')?.fallback).toBe(hostname());
  expect(tableOf('## Settings')).toEqual(
    settings.map((setting) => `| \`${setting.key}\` |${defaultOf(setting)}| ${setting.doc} |`),
  );
});
