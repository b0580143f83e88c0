// Asks the Sentinels for the address of the master. Each question is a connection of its own, so that nothing of an
// earlier question is left when the client of Redis is replaced.
import { Redis } from 'ioredis';
import { toError } from '../../shared/errors.ts';
import { CONNECT_TIMEOUT_MS, connectionOptions } from './redis-client.ts';
import { redisProblemOf } from './redis-problems.ts';
import type { RedisAddress, RedisLogin, RedisNode } from './redis-url.ts';

/** Deadline for one Sentinel, with all logins, in milliseconds. */
const ASK_MS = 3 * CONNECT_TIMEOUT_MS;

/** Maximum Sentinels that are asked in addition to those of the URL. */
const MAX_LEARNED = 16;

export interface MasterAnswer {
  readonly master: RedisNode;
  /** Sentinels that the asked ones know. */
  readonly sentinels: readonly RedisNode[];
}

export interface MasterQuestion {
  readonly address: RedisAddress;
  /** Sentinels that were learned from earlier answers. */
  readonly learned: readonly RedisNode[];
  /** The master of this process, which is preferred when as many Sentinels name it as another one. */
  readonly current: RedisNode | undefined;
  readonly signal: AbortSignal;
}

/**
 * Asks all Sentinels at the same time, and resolves to the master that most of them name, as soon as more than half do.
 * A Sentinel that was cut off from the others may name an old master.
 *
 * @throws the error of the last Sentinel when none of them names a master
 */
export async function findMaster({
  address,
  learned,
  current,
  signal,
}: MasterQuestion): Promise<MasterAnswer> {
  const nodes = uniqueNodes([...address.nodes, ...learned.slice(0, MAX_LEARNED)]);
  const answers: MasterAnswer[] = [];
  const asking = new AbortController();
  const abort = (): void => asking.abort();
  signal.addEventListener('abort', abort);
  const majority = Promise.withResolvers<void>();
  let problem: unknown;
  const asked = nodes.map(async (node) => {
    try {
      answers.push(await askSentinel(node, address, asking.signal));
      if (votesOf(answers, answers.at(-1)?.master) * 2 > nodes.length) majority.resolve();
    } catch (error) {
      // A Sentinel that answers knows more than one that does not.
      if (problem === undefined || redisProblemOf(problem) === 'unreachable') problem = error;
    }
  });
  try {
    await Promise.race([majority.promise, Promise.all(asked)]);
  } finally {
    signal.removeEventListener('abort', abort);
    asking.abort();
  }
  const [first, ...others] = answers;
  if (first === undefined) throw toError(problem ?? new Error('No Sentinel answered.'));
  const rank = (answer: MasterAnswer): number =>
    votesOf(answers, answer.master) * 2 + (nodeKey(answer.master) === nodeKey(current) ? 1 : 0);
  const { master } = others.reduce((best, next) => (rank(next) > rank(best) ? next : best), first);
  return { master, sentinels: uniqueNodes(answers.flatMap((answer) => answer.sentinels)) };
}

function votesOf(answers: readonly MasterAnswer[], master: RedisNode | undefined): number {
  return answers.filter((answer) => nodeKey(answer.master) === nodeKey(master)).length;
}

export function nodeKey(node: RedisNode | undefined): string {
  return node === undefined ? '' : `${node.host} ${node.port}`;
}

/** The nodes without repetitions, in the order given. */
export function uniqueNodes(nodes: readonly RedisNode[]): RedisNode[] {
  return [...new Map(nodes.map((node) => [nodeKey(node), node])).values()];
}

/** The logins to try, in order. A Sentinel that does not know the login of Redis may require no login. */
function loginsOf({ username, password, sentinelLogin }: RedisAddress): RedisLogin[] {
  if (sentinelLogin !== undefined) return [sentinelLogin];
  const anonymous: RedisLogin = { username: undefined, password: undefined };
  if (password === undefined) return [anonymous];
  const byPassword: RedisLogin = { username: undefined, password };
  return username === undefined ? [byPassword, anonymous] : [{ username, password }, byPassword, anonymous];
}

async function askSentinel(
  node: RedisNode,
  address: RedisAddress,
  signal: AbortSignal,
): Promise<MasterAnswer> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
  let problem: unknown;
  for (const login of loginsOf(address)) {
    try {
      return await askWithLogin(node, address, login, deadline);
    } catch (error) {
      problem ??= error;
      const reason = redisProblemOf(error);
      if (deadline.aborted || (reason !== 'login' && reason !== 'permission')) break;
    }
  }
  throw new Error(`The Sentinel at ${node.host}:${node.port} named no master.`, { cause: problem });
}

async function askWithLogin(
  node: RedisNode,
  { masterName, sentinelTls }: RedisAddress,
  login: RedisLogin,
  signal: AbortSignal,
): Promise<MasterAnswer> {
  signal.throwIfAborted();
  const client = new Redis({
    ...connectionOptions({ ...login, tls: sentinelTls }),
    ...node,
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: null,
    commandTimeout: CONNECT_TIMEOUT_MS,
  });
  let connectionError: unknown;
  client.on('error', (error) => (connectionError ??= error));
  const close = (): void => client.disconnect();
  signal.addEventListener('abort', close);
  try {
    await client.connect();
    const named = await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName);
    const master = toNode(named);
    if (master === undefined) throw new Error(`It does not know a master with the name "${masterName}".`);
    // A user who may only ask for the master is enough.
    const others = await client.call('SENTINEL', 'SENTINELS', masterName).catch(() => []);
    return { master, sentinels: (Array.isArray(others) ? others : []).flatMap(sentinelOf) };
  } catch (error) {
    throw toError(connectionError ?? error);
  } finally {
    signal.removeEventListener('abort', close);
    client.disconnect();
  }
}

function toNode(pair: unknown): RedisNode | undefined {
  if (!Array.isArray(pair)) return undefined;
  const [host, port] = pair as readonly unknown[];
  const number = Number(port);
  return typeof host === 'string' && Number.isInteger(number) && number > 0 && number < 65_536
    ? { host, port: number }
    : undefined;
}

/** The address in one entry of `SENTINEL SENTINELS`: a flat list of names and values. */
function sentinelOf(entry: unknown): RedisNode[] {
  if (!Array.isArray(entry)) return [];
  const valueOf = (name: string): unknown => entry[entry.indexOf(name) + 1];
  const node = toNode([valueOf('ip'), valueOf('port')]);
  return node === undefined ? [] : [node];
}
