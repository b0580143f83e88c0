// The programs that `npm run e2e:cluster` runs. It looks for all of them before it starts anything.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Options } from './options.ts';

/** How to get each program. */
const SOURCES: Readonly<Record<string, string>> = {
  kubectl: 'see https://kubernetes.io/docs/tasks/tools',
  helm: 'install Helm 4, see https://helm.sh/docs/intro/install',
  buildah: 'it builds the images; Debian and Ubuntu: apt-get install buildah, Fedora: dnf install buildah',
  kind: 'see https://kind.sigs.k8s.io',
};

/** A sentence for each program that is not in `path`, with how to get it. */
export function missingTools({ load, build }: Pick<Options, 'load' | 'build'>, path: string): string[] {
  const loader = load?.trim().split(/\s+/, 1)[0];
  const needed = [
    ...(build ? [] : ['kubectl', 'helm']),
    ...(build || load !== undefined ? ['buildah'] : []),
    ...(build || loader === undefined || loader === '' ? [] : [loader]),
  ];
  return [...new Set(needed)]
    .filter((tool) => !isInstalled(tool, path))
    .map((tool) => `${tool} is not installed: ${SOURCES[tool] ?? 'the command of --load starts it'}.`);
}

function isInstalled(tool: string, path: string): boolean {
  const candidates = tool.includes('/') ? [tool] : path.split(delimiter).map((folder) => join(folder, tool));
  return candidates.some((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
