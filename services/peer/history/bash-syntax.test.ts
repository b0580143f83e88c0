import { describe, expect, test } from '@jest/globals';
import { createBashScanner } from './bash-syntax.ts';

/** After how many lines the command is complete; 0 when it is open at the end. */
function completeAfter(text: string): number {
  const scanner = createBashScanner();
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    scanner.read(line);
    if (!scanner.isOpen()) return index + 1;
  }
  return 0;
}

/** Complete with the last line, and not before. */
const WHOLE = [
  "echo 'a\nb'",
  'echo "a\nb"',
  'echo "a $(echo "b\nc")"',
  "echo $'it\\'s\nb'",
  'echo "$(echo \'"\')\n"',
  'echo a \\\nb',
  'a |\nb',
  'a && # why\nb',
  'a ||\n\nb',
  'for i in 1 2\ndo echo $i\ndone',
  'for ((i=0; i<3; i++))\ndo x\ndone',
  'for i\nin 1; do\nx; done',
  'select x in a b; do\necho; done',
  'while read -r l; do\n[[ $l == fi ]] && echo done\ndone < file',
  'until false\ndo x\ndone',
  'if a; then\nb\nelif c\nthen d\nelse e\nfi',
  'if a; then b; fi | while c; do\nd\ndone',
  '{ a\nb\n}',
  '(a\nb)',
  '((\n1 << 2\n))',
  'f() {\n# don\'t "\necho\n}',
  'f()\n{\na\n}',
  'f () {\na\n}',
  'f() (\na\n)',
  'function f {\na\n}',
  'function f\n{\na\n}',
  'case x in\na) echo;;\nesac',
  'case $x in (a|b) c ;;\n"d e") f ;&\n*) g\nesac',
  'y=$(case x in a) echo;; esac\n)',
  "a=(1 # don't\n2)",
  'declare -A a=([x]=1\n[y]=2)',
  'echo ${a:-"x\ny"}',
  'echo `a\nb`',
  '[[ a &&\nb ]]',
  'diff <(a\nb) <(c)',
  "cat <<EOF\nit's\nEOF",
  "cat <<'E O F' | sort\n$(\nE O F",
  'cat <<-"EOF"\n\tx\n\tEOF',
  'cat <<A <<\\B\na\nA\nb\nB',
  'cat <<EOF &&\nx\nEOF\nls',
  'x=$(cat <<EOF\na)\nEOF\n)',
  'cat <<EOF\na\\\nEOF\nEOF',
  'if x; then cat <<EOF\nfi\nEOF\nfi',
  'echo "${a:-\'}"\n\'}"',
  'echo $[1+\n2]',
  'for i in 1; {\na\n}',
  'for ((;;)) {\na\n}',
  'for ((;;))\n{ a; }',
  'time {\na\n}',
  'time -p {\na\n}',
  '! {\na; }',
  'while :; do case x in x) if a; then b; fi;; esac\ndone',
];

/** Complete after the first line. */
const SINGLE = [
  'ls',
  "# don't",
  "ls # don't do {",
  'echo if then do { [[',
  'echo "$#" \'a\'',
  'echo $# ${#a} a#b',
  'echo "cost $"',
  'echo \\\' \\" \\(',
  'echo $((1<<2)) $[1<<2]',
  '((x<<2))',
  'cat <<< "x"',
  'f() { a; }',
  '{ a; }; (b)',
  'for i in do done; do x; done',
  'case x in a) b;; esac',
  'case if in esac) b;; esac',
  'a 2>&1 >| b &',
  'a &> b',
  'a; b & ',
  'echo }',
  'echo ) esac fi done',
  'shopt -s extglob; ls !(a|b) @(c)',
  'for i in 1; { echo; }',
  'for ((;;)) { a; }',
  'select x in a; { b; }',
  // Syntax errors: bash reads no further lines.
  'echo a (b',
  'git commit -m fix (see #3',
  'if a; then echo (',
  '(a)(b',
  "echo ${a%'\"'}",
  '"if" x',
  '\\for x',
  'echo "`a "b"`"',
  'a=() b',
  'echo $(echo "$(echo ")")")',
  'f () { echo; }',
  'x=$(( (1+2) * 3 ))',
  "awk '{ print }' f",
  'echo \'$(\' "\\$("',
];

describe('a bash command', () => {
  test.each(WHOLE.map((text) => [text]))('%j is complete with its last line', (text) => {
    expect(completeAfter(text)).toBe(text.split('\n').length);
  });

  test.each(SINGLE.map((text) => [text]))('%j is complete', (text) => {
    expect(completeAfter(`${text}\nls`)).toBe(1);
  });

  test.each([['echo "a'], ['cat <<EOF\nx'], ['if a; then'], ['a |'], ['a \\'], ['f()'], ['case x in']])(
    '%j is not complete',
    (text) => expect(completeAfter(text)).toBe(0),
  );
});
