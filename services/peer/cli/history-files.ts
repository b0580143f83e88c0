// Finds the history file of a shell where the shell itself would look for it, and other files that may be meant.
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ShellVariables } from '../config/shell-variables.ts';
import { expandHome } from '../config/settings.ts';
import type { Shell } from '../history/history-lines.ts';
import { guessShell } from '../history/shell-history.ts';

/** A place of a history file. */
interface Candidate {
  readonly path: string;
  /** Why the file is there, for messages; empty for the usual place. */
  readonly origin: string;
  /** Whether the shell certainly uses this place, so that files elsewhere are older ones. */
  readonly isCertain?: boolean;
}

interface FoundFile {
  readonly path: string;
  readonly modifiedUnixMs: number;
}

/** The places of the file of a shell, the one that the shell uses first, and sentences about variables. */
interface Places {
  readonly candidates: readonly Candidate[];
  readonly notes: readonly string[];
}

export interface HistoryFiles extends Places {
  /** The file that the shell uses; `undefined` when it does not exist. */
  readonly chosen: FoundFile | undefined;
  /** Files in other places. */
  readonly others: readonly FoundFile[];
}

export function findHistoryFiles(shell: Shell, variables: ShellVariables): HistoryFiles {
  const places = PLACES[shell](variables);
  const [first] = places.candidates;
  const found = places.candidates.flatMap(({ path }) => statFile(path) ?? []);
  const chosen = first?.isCertain === true ? found.find(({ path }) => path === first.path) : found[0];
  return { ...places, chosen, others: found.filter((file) => file !== chosen) };
}

const PLACES: Readonly<Record<Shell, (variables: ShellVariables) => Places>> = {
  bash: (variables) => withHistfile('bash', variables, [inHome(variables, '.bash_history')]),
  zsh(variables) {
    const { zdotdir } = variables;
    const ofZdotdir = { path: resolve(join(zdotdir, '.zsh_history')), origin: 'from ZDOTDIR' };
    return withHistfile('zsh', variables, [
      ...(zdotdir === '' ? [] : [ofZdotdir]),
      // zsh has no default. The first is that of most configurations, the others of zsh-newuser-install and prezto.
      ...['.zsh_history', '.histfile', '.zhistory'].map((name) => inHome(variables, name)),
    ]);
  },
  fish(variables) {
    const { home, xdgDataHome, fishHistory } = variables;
    const [session, notes] = readSession(fishHistory);
    const name = `${session}_history`;
    const usual = { path: join(home, '.local', 'share', 'fish', name), origin: '' };
    const origin = session === 'fish' ? '' : 'from fish_history';
    if (xdgDataHome === '') return { candidates: [{ ...usual, origin, isCertain: true }], notes };
    const ofXdg = { path: resolve(xdgDataHome, 'fish', name), origin: 'from XDG_DATA_HOME', isCertain: true };
    return { candidates: unique([ofXdg, usual]), notes };
  },
};

function inHome({ home }: ShellVariables, name: string): Candidate {
  return { path: join(home, name), origin: '' };
}

/** The places with that of HISTFILE first, unless the variable belongs to another shell. */
function withHistfile(shell: Shell, { histfile, home }: ShellVariables, usual: readonly Candidate[]): Places {
  if (histfile === undefined) return { candidates: unique(usual), notes: [] };
  if (histfile === '')
    return {
      candidates: unique(usual),
      notes: ['HISTFILE is empty, so that the shell writes no history file now.'],
    };
  const owner = guessShell(histfile);
  if (owner !== undefined && owner !== shell)
    return {
      candidates: unique(usual),
      notes: [`HISTFILE is not used, because it names a file of ${owner}.`],
    };
  const named = { path: expandHome(histfile, home), origin: 'from HISTFILE', isCertain: true };
  return { candidates: unique([named, ...usual]), notes: [] };
}

/** The session of fish. fish itself replaces a name that is not valid by its default. */
function readSession(name: string | undefined): readonly [session: string, notes: string[]] {
  if (name === undefined || name === 'default') return ['fish', []];
  if (name === '') return ['fish', ['fish_history is empty, so that fish writes no history file now.']];
  return /^\w+$/.test(name)
    ? [name, []]
    : ['fish', ['fish_history is not a valid name, so that fish uses "fish".']];
}

function unique(candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(({ path }, index) => candidates.findIndex((one) => one.path === path) === index);
}

/** `undefined` when there is no such file. A file that cannot be read is found, so that reading it reports why. */
function statFile(path: string): FoundFile | undefined {
  try {
    const stats = statSync(path);
    return stats.isDirectory() ? undefined : { path, modifiedUnixMs: stats.mtimeMs };
  } catch {
    return undefined;
  }
}
