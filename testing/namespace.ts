// A network that can be interrupted: a network namespace that a veth pair connects to this machine. Linux only, as
// root.
import { spawnSync } from 'node:child_process';

export interface Namespace {
  /** The command prefix that runs a program in the namespace. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** Drops all packets in both directions from now on, without an error on either side. */
  cut(): void;
  remove(): void;
}

/** Whether this process can create namespaces. */
export const HAS_NAMESPACES =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('ip', ['netns']).status === 0;

/** @throws Error with the output of the command when it fails */
function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The command "ip ${args.join(' ')}" failed: ${stderr.trim()}.`);
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
    // A veth pair drops packets when the inside end is down. The outside end stays up, so that the route remains.
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    // This also removes the veth pair.
    remove: () => ip('netns', 'delete', name),
  };
}
