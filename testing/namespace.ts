// A network that can be cut: a network namespace, connected to this machine by a veth pair. Linux only, as root.
import { spawnSync } from 'node:child_process';

export interface Namespace {
  /** The command that runs another command inside. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** From now on packets are dropped in both directions, without an error on either side. */
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
    // A veth pair drops packets when its far end is down. The near end stays up, so that the route remains.
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    // This removes the veth pair, too.
    remove: () => ip('netns', 'delete', name),
  };
}
