// A device behind a line of its own that can be cut: a network namespace joined to this machine by a veth pair. Linux only,
// and only as root.
import { spawnSync } from 'node:child_process';

export interface Namespace {
  /** What runs a program inside. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** From now on packets vanish, in both directions, and nobody is told. */
  cut(): void;
  remove(): void;
}

/** Whether this machine lets us make namespaces; macOS has none, and Linux only for root. */
export const HAS_NAMESPACES =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('ip', ['netns']).status === 0;

/** @throws when a command fails, with what it said. */
function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

/** @param subnet the third number of an address nobody else uses: 10.213.N.0/30. */
export function createNamespace(subnet: number): Namespace {
  const name = `rustory-${process.pid}-${subnet}`;
  // The names of interfaces have at most 15 characters.
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
    // A veth pair whose far end is down loses what is sent, as a line does; ours stays up, so that no route vanishes.
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    // The pair goes with the namespace.
    remove: () => ip('netns', 'delete', name),
  };
}
