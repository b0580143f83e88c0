// A device behind its own NAT whose network can be silent for a while: a network namespace behind a bridge. Packets of a
// gap are dropped without an error on either side, and packets to other devices are dropped like at a firewall. Linux
// only, as root.
import { spawnSync } from 'node:child_process';

export interface SilentNetwork {
  /** The command prefix that runs a program in the namespace. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** Drops all packets in both directions. */
  cut(): void;
  /** Ends the gap. */
  restore(): void;
  remove(): void;
}

const PREFIX_LENGTH = 30;
let created = 0;

/** Runs a command. @throws Error with its error output when it fails */
function run(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The command "${program} ${args.join(' ')}" failed: ${stderr.trim()}.`);
}

function ip(command: string): void {
  run('ip', ...command.split(' '));
}

/** Creates a namespace with an unused network below 10.214.0.0/16. */
export function createSilentNetwork(): SilentNetwork {
  created += 1;
  // Two runs of the matrix at the same time use different networks, most likely.
  const number = ((process.pid % 1000) * 16 + created) % 16_384;
  const base = number * 4;
  const address = (last: number): string => `10.214.${(base + last) >> 8}.${(base + last) % 256}`;
  const [host, device] = [address(1), address(2)];
  const name = `rr-${process.pid}-${created}`;
  // Interface names have at most 15 characters.
  const [bridge, outside, inside] = ['b', 'o', 'i'].map(
    (kind) => `rr${kind}${process.pid % 100_000}x${created}`,
  );
  const [hostMac, deviceMac] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];
  ip(`netns add ${name}`);
  ip(`link add ${bridge} address ${hostMac} type bridge`);
  ip(`link add ${outside} type veth peer name ${inside} netns ${name}`);
  ip(`link set ${outside} master ${bridge}`);
  ip(`address add ${host}/${PREFIX_LENGTH} dev ${bridge}`);
  for (const link of [outside, bridge]) ip(`link set ${link} up`);
  ip(`-n ${name} link set ${inside} address ${deviceMac}`);
  ip(`-n ${name} address add ${device}/${PREFIX_LENGTH} dev ${inside}`);
  for (const link of ['lo', inside]) ip(`-n ${name} link set ${link} up`);
  // Entries that never age: a gap must not end in an error of the neighbor discovery.
  ip(`neigh replace ${device} lladdr ${deviceMac} dev ${bridge} nud permanent`);
  ip(`-n ${name} neigh replace ${host} lladdr ${hostMac} dev ${inside} nud permanent`);
  // Everything else goes to this machine, which does not forward it.
  ip(`-n ${name} route add default via ${host}`);
  run('sh', '-c', `echo 0 > /proc/sys/net/ipv4/conf/${bridge}/forwarding`);
  return {
    under: ['ip', 'netns', 'exec', name],
    host,
    cut: () => ip(`link set ${outside} nomaster`),
    restore: () => ip(`link set ${outside} master ${bridge}`),
    remove() {
      ip(`netns delete ${name}`);
      ip(`link delete ${bridge}`);
    },
  };
}
