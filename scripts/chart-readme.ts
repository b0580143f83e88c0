// The table of values in the README of a chart, generated from the comments in values.yaml that start with `# --`.
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from 'yaml';

/** One row of the table. */
export interface Documented {
  /** Such as `ingress.tls.enabled`. */
  readonly path: string;
  readonly value: unknown;
  readonly doc: string;
}

const BEGIN = '<!-- Generated from values.yaml by `npm run docs`; do not edit. -->';
const END = '<!-- End of the generated table. -->';

/**
 * Reads all values with a comment, in order, and the paths of all values without one.
 *
 * A map with a comment is one value. The values in it that have their own comments follow.
 *
 * @throws Error when the text is not a map with text keys
 */
export function readValues(text: string): { documented: Documented[]; undocumented: string[] } {
  const documented: Documented[] = [];
  const undocumented: string[] = [];
  const walk = (map: YAMLMap, prefix: string, isCovered: boolean): void => {
    for (const [position, { key, value }] of map.items.entries()) {
      if (!isScalar(key)) throw new Error(`values.yaml: "${prefix}" has a key that is not text.`);
      const path = `${prefix}${String(key.value)}`;
      // The comment before the first key of a map belongs to the map.
      const doc = docOf(key.commentBefore ?? (position === 0 ? map.commentBefore : undefined));
      const isTree = isMap(value) && value.items.length > 0;
      if (doc !== undefined)
        documented.push({ path, value: isNode(value) ? value.toJS(document) : value, doc });
      else if (!isTree && !isCovered) undocumented.push(path);
      if (isTree) walk(value, `${path}.`, isCovered || doc !== undefined);
    }
  };
  const document = parseDocument(text);
  if (!isMap(document.contents)) throw new Error('values.yaml: The document is not a map.');
  walk(document.contents, '', false);
  return { documented, undocumented };
}

/** Replaces the table in a README. @throws Error when the README has no markers for the table */
export function withTable(readme: string, values: string): string {
  const [before, rest] = readme.split(BEGIN);
  const [, after] = (rest ?? '').split(END);
  if (before === undefined || after === undefined)
    throw new Error(`The README of a chart must contain the lines ${BEGIN} and ${END}.`);
  const rows = readValues(values).documented.map(
    ({ path, value, doc }) =>
      `| \`${path}\` | \`${JSON.stringify(value)}\` | ${doc.replaceAll('|', '\\|')} |`,
  );
  const table = ['| value | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
}

/** The text after `--`, if the comment has one. */
function docOf(comment: string | null | undefined): string | undefined {
  const [, doc] = /(?:^|\n) -- ([^]*)$/.exec(comment ?? '') ?? [];
  return doc?.replaceAll(/\n */g, ' ').trim();
}
