// A network that can be interrupted: a network namespace that a veth pair connects to this machine. Linux only, as
// root.
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';

export interface Namespace {
  /** The command prefix that runs a program in the namespace. */
  readonly under: readonly string[];
  /** The address of this machine as the namespace sees it. */
  readonly host: string;
  /** The IPv6 address of this machine as the namespace sees it. */
  readonly host6: string;
  /** Addresses in both networks that no machine has. */
  readonly nobody: string;
  readonly nobody6: string;
  /** Whether every TCP connection of this machine to the namespace has nothing in flight and was idle for 2 s. */
  isQuiet(): boolean;
  /** Drops all packets in both directions from now on, without an error on either side. */
  cut(): void;
  /** Delivers packets again. */
  restore(): void;
  /** Loses all packets from the namespace to one address in the networks of `host` and `host6`, without an error. */
  lose(address: string): void;
  /** Loses the first packet of each TCP connection that starts in the namespace from now on. */
  loseFirstPackets(): void;
  /** Programs in the namespace resolve names with this server from now on. */
  resolveWith(server: string): void;
  remove(): void;
}

/** Whether this process can create namespaces. */
export const HAS_NAMESPACES =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('ip', ['netns']).status === 0;

type Addresses = [string, string, string];

const SUBNETS = 256;

/** Idle time of a connection that counts as quiet, in milliseconds. */
const QUIET_MS = 2_000;

/** Drops the first packet of a TCP connection, and remembers it, so that the repeated one passes. */
const FIRST_PACKETS = `table inet rustory {
  set seen { type inet_proto . inet_service . inet_service; flags dynamic; }
  chain output {
    type filter hook output priority 0;
    tcp flags & (syn|ack) == syn meta l4proto . tcp sport . tcp dport @seen accept
    tcp flags & (syn|ack) == syn add @seen { meta l4proto . tcp sport . tcp dport } drop
  }
}`;

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
        // The counter of sent bytes would not do: it counts repeated packets too.
        ['unacked', 'notsent'].every((name) => numberOf(line, name) === 0) &&
        ['lastsnd', 'lastrcv'].every((name) => numberOf(line, name) >= QUIET_MS),
    )
  );
}

/** Removes the namespaces whose process was killed. */
function removeAbandoned(): void {
  const { stdout } = spawnSync('ip', ['netns'], { encoding: 'utf8' });
  for (const [, name = '', owner] of stdout.matchAll(/^(rustory-(\d+)-\d+)\b/gm))
    if (!existsSync(`/proc/${owner}`)) spawnSync('ip', ['netns', 'delete', name]);
}

/** The third number of networks that this machine does not have yet: with two, packets would go to the wrong one. */
function unusedSubnet(): number {
  const inUse = run('ip', ['-4', '-brief', 'address']);
  // Processes that start at the same time shall not find the same one.
  const first = randomInt(SUBNETS);
  for (let offset = 0; offset < SUBNETS; offset += 1) {
    const subnet = (first + offset) % SUBNETS;
    if (!inUse.includes(`10.213.${subnet}.`)) return subnet;
  }
  throw new Error(
    'This machine has all networks from 10.213.0.0 to 10.213.255.0. Remove those of killed tests.',
  );
}

/** In an unused network 10.213.N.0/29 and fd00:213:N::/64. */
export function createNamespace(): Namespace {
  removeAbandoned();
  const subnet = unusedSubnet();
  const name = `rustory-${process.pid}-${subnet}`;
  // Interface names have at most 15 characters.
  const [outside, inside] = [`rt${process.pid % 100_000}h${subnet}`, `rt${process.pid % 100_000}n${subnet}`];
  const [host, device, nobody] = [1, 2, 6].map((last) => `10.213.${subnet}.${last}`) as Addresses;
  const [host6, device6, nobody6] = [1, 2, 6].map((last) => `fd00:213:${subnet}::${last}`) as Addresses;
  // `ip netns exec` puts the files of this directory over those in /etc.
  const files = `/etc/netns/${name}`;
  ip('netns', 'add', name);
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
  ip('address', 'add', `${host}/29`, 'dev', outside);
  ip('address', 'add', `${host6}/64`, 'dev', outside, 'nodad');
  ip('link', 'set', outside, 'up');
  ip('-n', name, 'address', 'add', `${device}/29`, 'dev', inside);
  ip('-n', name, 'address', 'add', `${device6}/64`, 'dev', inside, 'nodad');
  ip('-n', name, 'link', 'set', inside, 'up');
  return {
    under: ['ip', 'netns', 'exec', name],
    host,
    host6,
    nobody,
    nobody6,
    isQuiet: () => areQuiet(device),
    // A veth pair drops packets when the inside end is down. The outside end stays up, so that the route remains.
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    restore: () => ip('-n', name, 'link', 'set', inside, 'up'),
    // A neighbor with a hardware address that nobody has.
    lose: (address) =>
      ip(
        '-n',
        name,
        'neighbor',
        'replace',
        address,
        'lladdr',
        '02:00:00:00:00:99',
        'dev',
        inside,
        'nud',
        'permanent',
      ),
    loseFirstPackets() {
      run('ip', ['netns', 'exec', name, 'nft', FIRST_PACKETS]);
    },
    resolveWith(server) {
      mkdirSync(files, { recursive: true });
      writeFileSync(`${files}/resolv.conf`, `nameserver ${server}\n`);
    },
    remove() {
      // This also removes the veth pair.
      ip('netns', 'delete', name);
      rmSync(files, { recursive: true, force: true });
    },
  };
}
