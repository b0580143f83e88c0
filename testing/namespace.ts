// A network that can be interrupted: a network namespace that a veth pair connects to this machine. Linux only, as
// root.
import { spawnSync } from 'node:child_process';

export interface Namespace {
  /** The command prefix that runs a program in the namespace. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** Whether every TCP connection of this machine to the namespace has nothing in flight and was idle for 2 s. */
  isQuiet(): boolean;
  /** Drops all packets in both directions from now on, without an error on either side. */
  cut(): void;
  /** Delivers packets again. */
  restore(): void;
  remove(): void;
}

/** Whether this process can create namespaces. */
export const HAS_NAMESPACES =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('ip', ['netns']).status === 0;

/** Idle time of a connection that counts as quiet, in milliseconds. */
const QUIET_MS = 2_000;

/** Returns the output. @throws Error with the error output of the command when it fails */
function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The command "${program} ${args.join(' ')}" failed: ${stderr.trim()}.`);
  return stdout;
}

function ip(...args: readonly string[]): void {
  run('ip', args);
}

/** A counter or time of a line of `ss`, which leaves out one that is 0. */
function numberOf(line: string, name: string): number {
  return Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
}

function areQuiet(peer: string): boolean {
  const lines = run('ss', ['-HtinO', 'dst', peer])
    .split('\n')
    .filter((line) => line.trim() !== '');
  return (
    lines.length > 0 &&
    lines.every(
      (line) =>
        numberOf(line, 'bytes_sent') === numberOf(line, 'bytes_acked') &&
        ['lastsnd', 'lastrcv'].every((name) => numberOf(line, name) >= QUIET_MS),
    )
  );
}

/** @param subnet the third number of an unused network: 10.213.N.0/30 */
export function createNamespace(subnet: number): Namespace {
  const name = `rustory-${process.pid}-${subnet}`;
  // Interface names have at most 15 characters.
  const [outside, inside] = [`rt${process.pid % 100_000}h${subnet}`, `rt${process.pid % 100_000}n${subnet}`];
  const [host, device] = [`10.213.${subnet}.1`, `10.213.${subnet}.2`];
  ip('netns', 'add', name);
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
  ip('address', 'add', `${host}/30`, 'dev', outside);
  ip('link', 'set', outside, 'up');
  ip('-n', name, 'address', 'add', `${device}/30`, 'dev', inside);
  ip('-n', name, 'link', 'set', inside, 'up');
  return {
    under: ['ip', 'netns', 'exec', name],
    host,
    isQuiet: () => areQuiet(device),
    // A veth pair drops packets when the inside end is down. The outside end stays up, so that the route remains.
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    restore: () => ip('-n', name, 'link', 'set', inside, 'up'),
    // This also removes the veth pair.
    remove: () => ip('netns', 'delete', name),
  };
}
