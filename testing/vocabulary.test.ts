// Words that this repository does not use, with the word that it uses instead. One meaning has one word.
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ROOT } from './groups.ts';
import { readSource } from './source.ts';

interface Term {
  readonly pattern: RegExp;
  readonly instead: string;
}

const TERMS: readonly Term[] = [
  { pattern: /[«»]/g, instead: '"…" in messages, `…` in Markdown and comments' },
  { pattern: /grid(?!Pos\b|-test\b)/gi, instead: 'network' },
  { pattern: /swarm(?!(?:\\?[\s._-])*key|$)/gi, instead: 'network; "swarm" only in "swarm key"' },
  { pattern: /\bstrangers?\b/gi, instead: 'unauthenticated connection' },
  { pattern: /\bledgers?\b/gi, instead: 'reservation store' },
  { pattern: /\bguests?\b/gi, instead: 'admitted connection' },
  { pattern: /\bgates?\b/gi, instead: 'connection limiter, admission' },
  { pattern: /\brooms?\b/gi, instead: 'module' },
  { pattern: /\bpatience/gi, instead: 'timeout, deadline' },
  { pattern: /\bhurry/gi, instead: 'abort the drain' },
  { pattern: /\bin vain\b/gi, instead: 'without success' },
  { pattern: /\b(?:sent|send|sends) away\b/gi, instead: 'refuse' },
  { pattern: /\b(?:give|gives|gave) way\b/gi, instead: 'evict' },
  { pattern: /\bknock(?:s|ed|ing)?\b/gi, instead: 'connect' },
  { pattern: /(?<!\bthere )\b(?:is|are|was|were) none\b/gi, instead: 'is not a …, there is no …' },
  { pattern: /\bas many as there may be\b/gi, instead: 'maximum' },
  { pattern: /\btells? of\b/gi, instead: 'describes, documents' },
  { pattern: /\bhalf a minute\b/gi, instead: '30 seconds' },
  // American spelling.
  {
    pattern: /\b\w*(?:colour|behaviour|neighbour|favour|honour|centre|catalogue)\w*/gi,
    instead: 'American spelling: …or, …er',
  },
  {
    pattern:
      /\b(?:recogni|normali|initiali|seriali|organi|summari|minimi|maximi|optimi|synchroni)s(?:e|ed|es|ing)\b/gi,
    instead: 'American spelling: …ize',
  },
  {
    pattern: /\b(?:dial|cancel|signal|label|travel|model)l(?:ed|ing)\b/gi,
    instead: 'American spelling: one l',
  },
];

/** Lines that may contain a term: names that others gave, and names that users type and that therefore stay. */
const EXCEPTIONS: ReadonlyArray<{ readonly file: RegExp; readonly line: RegExp }> = [
  // The name of the format of swarm key files.
  { file: /./, line: /\/key\\?\/swarm\\?\/psk/ },
  // Names of other implementations.
  { file: /^e2e\/interop\/(?:rust|rr|go)\//, line: /swarm|behaviour/i },
  { file: /^(?:e2e\/interop\/rr-programs\.ts|docs\/interop\.md)$/, line: /libp2p-swarm/ },
];

const FILES = globSync(['**/*', '.*', '.{ci,github}/**/*'], {
  cwd: ROOT,
  exclude: [
    '{node_modules,dist,coverage,.git,.rustory}/**',
    '**/*.{log,transcripts.json,sum,lock,tgz}',
    'package-lock.json',
    'LICENSE',
    'scripts/sample/**',
    'testing/vocabulary.test.ts',
  ],
}).filter((file) => statSync(join(ROOT, file)).isFile());

test('the files use the words of the vocabulary', () => {
  const found = FILES.toSorted().flatMap((file) =>
    readSource(file)
      .split('\n')
      .flatMap((line, index) =>
        EXCEPTIONS.some((exception) => exception.file.test(file) && exception.line.test(line))
          ? []
          : TERMS.flatMap(({ pattern, instead }) =>
              (line.match(pattern) ?? []).map((word) => `${file}:${index + 1}: ${word} (use ${instead})`),
            ),
      ),
  );

  expect(found).toEqual([]);
});
