// docs/environment.md, generated from the variables of the services.
import { AUDIENCES, type Audience, type Variable } from '../services/shared/variables.ts';

type Variables = Readonly<Record<string, Variable<unknown>>>;

const TITLES: Readonly<Record<Audience, string>> = { set: 'Set', tune: 'Tune', rarely: 'Rarely changed' };

const INTRODUCTION = `# Environment variables

Generated from \`services/*/config.ts\` by \`npm run docs\`; do not edit.

Booleans are \`true\` or \`false\`, lists are comma-separated, and an empty variable is the same as an absent one. A service
reports all problems of its configuration at once and exits with code 78. An unknown variable causes a warning in the log.

The peer reads \`RUSTORY_*\` variables and a configuration file: see [peer.md](peer.md).`;

/** The page, with one section per service and one table per audience. */
export function environmentPage(services: Readonly<Record<string, Variables>>): string {
  const sections = Object.entries(services).map(([service, variables]) => serviceSection(service, variables));
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

function serviceSection(service: string, variables: Variables): string {
  const audiences = Object.keys(AUDIENCES) as Audience[];
  const tables = audiences.flatMap((audience) => {
    const rows = Object.entries(variables).filter(([, variable]) => variable.audience === audience);
    if (rows.length === 0) return [];
    return [`### ${service}: ${TITLES[audience].toLowerCase()}`, AUDIENCES[audience], table(rows)];
  });
  return [`## ${service}`, ...tables].join('\n\n');
}

function table(rows: ReadonlyArray<[name: string, variable: Variable<unknown>]>): string {
  const lines = rows.map(
    ([name, { fallback, doc }]) =>
      `| \`${name}\` | ${fallback === undefined || fallback === '' ? '' : `\`${fallback}\``} | ${doc.replaceAll('|', '\\|')} |`,
  );
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...lines].join('\n');
}
