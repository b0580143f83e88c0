// docs/runbooks: every command is run or read by the program itself, against the objects of the charts and real processes,
// and every log line is one that the services write.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type KubernetesObject, render, UMBRELLA, valueAt } from '../testing/charts.ts';
import { cleanUp, onCleanup } from '../testing/cleanup.ts';
import { attempt, type CommandResult } from '../testing/command.ts';
import { ensureHelm } from '../testing/helm.ts';
import { makeTestDirectory, startNetwork } from '../testing/network.ts';
import { startRedis } from '../testing/redis.ts';
import { until } from '../testing/wait.ts';
import { startTracker } from '../scripts/local-network.ts';

afterEach(cleanUp);

const ROOT = join(import.meta.dirname, '..');
const PAGES = globSync('docs/runbooks/*.md', { cwd: ROOT }).toSorted();

/** The programs of operators, and those of this project. Commands of `rr` are for another program. */
const PROGRAMS = ['kubectl', 'helm', 'curl', 'nc', 'rustory-peer'];

interface Command {
  readonly page: string;
  /** The words without the text after the first pipe. */
  readonly words: readonly string[];
  /** What `grep` selects after a pipe; empty without one. */
  readonly pattern: string;
}

function spansOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replaceAll(/\s+/g, ' '));
}

const COMMANDS: readonly Command[] = PAGES.flatMap((page) =>
  spansOf(page)
    .filter((span) => PROGRAMS.includes(span.split(' ', 1)[0] ?? ''))
    .filter((span) => span.includes(' '))
    .map((span) => {
      const [command = '', filter = ''] = span.split(' | ', 2);
      const [, quoted, bare] = /^grep (?:'([^']*)'|(\S+))$/.exec(filter) ?? [];
      return { page: basename(page, '.md'), words: command.split(' '), pattern: quoted ?? bare ?? '' };
    }),
);

function commandsOf(program: string): Command[] {
  return COMMANDS.filter(({ words }) => words[0] === program);
}

/** Runs a program of the charts without a cluster. It reads its arguments before it looks for one. */
async function runWithoutCluster(words: readonly string[]): Promise<CommandResult> {
  const [program = '', ...args] = words;
  const kubeconfig = join(makeTestDirectory(), 'kubeconfig');
  const cluster = { name: 'none', cluster: { server: 'http://127.0.0.1:1' } };
  const context = { name: 'none', context: { cluster: 'none', user: '' } };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [cluster],
      contexts: [context],
      'current-context': 'none',
    }),
  );
  const env = { HOME: '/nonexistent', KUBECONFIG: kubeconfig };
  return attempt(join(await ensureHelm(), program), args, { env });
}

/** The words with names that Kubernetes accepts instead of placeholders in capital letters. */
function filledIn(words: readonly string[]): string[] {
  return words.map((word) => word.replaceAll(/\b(?:NAMESPACE|RELEASE|POD|NAME)\b/g, 'rustory'));
}

/** A release with every object of the charts that a runbook names. */
async function objectsOfCharts(): Promise<readonly KubernetesObject[]> {
  const relay = { p2p: { expose: 'LoadBalancer', announce: ['/dns4/relay.example.org/tcp/4001'] } };
  const plain = await render(UMBRELLA, { relay });
  const tls = await render(UMBRELLA, {
    relay,
    tracker: { ingress: { enabled: false }, tls: { issuer: 'authority', hosts: ['tracker.example.org'] } },
  });
  const users = [{ name: 'ada', userId: 'ada' }];
  const hubs = await render(UMBRELLA, { hub: { enabled: true, users } });
  return [...plain.objects, ...tls.objects, ...hubs.objects];
}

/** What Kubernetes and cert-manager make of an object of the charts, with its labels. */
const ORIGINS: Readonly<Record<string, string>> = {
  pod: 'Deployment,StatefulSet',
  endpointslice: 'Service',
  // A claim of a StatefulSet has the labels of its selector.
  pvc: 'StatefulSet',
  certificaterequest: 'Certificate',
};

/** The labels of the objects that a kind in a command means. */
function labelsOf(
  kind: string,
  objects: readonly KubernetesObject[],
): Array<Readonly<Record<string, string>>> {
  const singular = kind.replace(/s$/, '') === 'ingres' ? 'ingress' : kind.replace(/s$/, '');
  const kinds = (ORIGINS[singular] ?? singular).toLowerCase().split(',');
  return objects
    .filter((object) => kinds.includes(object.kind.toLowerCase()))
    .map((object) => {
      const labels =
        singular === 'pod'
          ? valueAt(object, 'spec', 'template', 'metadata', 'labels')
          : object.metadata.labels;
      return labels as Readonly<Record<string, string>>;
    });
}

describe('kubectl in the runbooks', () => {
  test.each(
    commandsOf('kubectl').map((command) => [command.page, command.words.join(' '), command] as const),
  )('%s: %s', async (_, text, { words }) => {
    const { code, stderr } = await runWithoutCluster(filledIn(words));
    // Without a mistake in the arguments, the only error is that there is no cluster.
    expect([code, stderr]).toEqual([1, expect.stringMatching(/connect|refused/)]);
    expect(words.slice(0, 3)).toEqual(['kubectl', '-n', 'NAMESPACE']);
    const [verb = '', resource = ''] = words.slice(3);
    const kinds: Readonly<Record<string, string>> = {
      logs: 'pods',
      exec: 'pods',
      rollout: words[5] ?? '',
    };
    const found = labelsOf(kinds[verb] ?? resource, await objectsOfCharts());
    const label = /-l (\S+)=(\S+)/.exec(text);
    const selected = found.filter((labels) => label === null || labels[label[1] ?? ''] === label[2]);
    // A Secret is named by the user.
    expect([text, resource === 'secret' || selected.length > 0]).toEqual([text, true]);
    // With a label, kubectl prints only the last ten lines of each pod.
    if (verb === 'logs' && label !== null) expect(words).toContain('--tail=-1');
  });
});

test.each(commandsOf('helm').map(({ page, words }) => [page, words.join(' '), words] as const))(
  'helm in %s: %s',
  async (_, __, words) => {
    const isName = words.length === 2;
    const { code, stderr } = await runWithoutCluster(isName ? [...words, '--help'] : filledIn(words));
    expect([code, stderr]).toEqual(
      isName ? [0, ''] : [1, expect.stringMatching(/connect|refused|reachable/)],
    );
  },
);

test('curl gets the answers that the runbooks expect', async () => {
  const tracker = await startTracker({ env: { TRACKER_ALLOW_UNAUTHENTICATED: 'true' } });
  onCleanup(async () => void (await tracker.stop()));
  const commands = commandsOf('curl');
  expect(commands.length).toBeGreaterThan(0);
  for (const { words } of commands) {
    const args = words.slice(1).map((word) => word.replace('https://HOST', tracker.url));
    const { code, stdout } = await attempt('curl', args);
    expect([words, code, stdout.trim()]).toEqual([words, 0, 'ok']);
  }
});

test('nc connects to the port of the Services of relays', async () => {
  const ports = (await objectsOfCharts())
    .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === 'relay')
    .flatMap((object) => (object.kind === 'Service' ? [valueAt(object, 'spec', 'ports', 0, 'port')] : []));
  for (const { words } of commandsOf('nc')) expect(ports).toContain(Number(words.at(-1)));
});

test('commands of the peer succeed on a device', async () => {
  const network = await startNetwork();
  const device = network.device('desktop');
  // `peers` is an error without another device.
  await network.device('laptop').serve();
  const commands = commandsOf('rustory-peer');
  expect(commands.length).toBeGreaterThan(2);
  for (const { words } of commands) {
    const { code, stderr } = await device.run(...words.slice(1));
    expect([words, code, stderr]).toEqual([words, 0, expect.not.stringMatching(/error/i)]);
  }
});

/** The logs of a tracker with faults of all kinds that the runbooks look for, and of a relay. */
async function logsOfFaults(): Promise<string> {
  const redis = await startRedis();
  const tokens = join(makeTestDirectory(), 'tokens');
  writeFileSync(tokens, 'a-token-of-the-runbooks\n');
  const tracker = await startTracker({ env: { TRACKER_REDIS_URL: redis.url, TRACKER_TOKENS_FILE: tokens } });
  onCleanup(async () => void (await tracker.stop()));
  const list = `${tracker.url}/api/v1/peers?user_id=demo`;
  await fetch(list);
  await redis.stop();
  writeFileSync(tokens, 'two words that are no token\n');
  const headers = { Authorization: 'Bearer a-token-of-the-runbooks' };
  await until(async () => {
    await fetch(list, { headers });
    const log = tracker.stdout();
    return log.includes('tokens not read again') && log.includes('"error":') && log.includes('"msg":"redis"');
  }, 'the log lines of the faults');
  const network = await startNetwork();
  return `${tracker.stdout()}\n${network.relay.stdout()}`;
}

test('the filters of the commands find what the services log', async () => {
  const lines = (await logsOfFaults()).split('\n');
  const patterns = COMMANDS.map(({ pattern }) => pattern).filter((pattern) => pattern !== '');
  expect(patterns.length).toBeGreaterThan(4);
  expect(patterns.filter((pattern) => !lines.some((line) => line.includes(pattern)))).toEqual([]);
});

/** Several words in lower case, as the messages of the logs. */
const PHRASE = /^[a-z]+(?:[ ,;:]+[a-z]+)+\??$/;

/** First words of phrases that are commands. */
const OTHER_WORDS = new Set([...PROGRAMS, 'rr']);

/** Whether the text is a message, or one whose first word is a variable, such as `${what} refused`. */
function isLogged(phrase: string, sources: string): boolean {
  const rest = phrase.slice(phrase.indexOf(' '));
  return sources.includes(`'${phrase}`) || sources.includes(`}${rest}\``);
}

test('log lines that the runbooks name are those of the services', () => {
  const sources = globSync('services/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] })
    .map((path) => readFileSync(join(ROOT, path), 'utf8'))
    .join('\n');
  const phrases = PAGES.flatMap(spansOf).filter(
    (span) => PHRASE.test(span) && !OTHER_WORDS.has(span.split(' ', 1)[0] ?? ''),
  );
  expect(phrases.length).toBeGreaterThan(6);
  expect(phrases.filter((phrase) => !isLogged(phrase, sources))).toEqual([]);
});
