// The relay's configuration: the only file that reads its environment. `docs/environment.md`, `--help` and the
// schema of the chart are made from the table.
import type { PrivateKey } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { readEnvironment, unknownVariableWarnings } from '../shared/env.ts';
import { ConfigError } from '../shared/errors.ts';
import type { Program } from '../shared/program.ts';
import { type Network, parseNetwork } from '../shared/trusted-networks.ts';
import {
  boolean,
  integer,
  list,
  type ListenAddress,
  listenAddress,
  logLevel,
  parsed,
  poisonReads,
  text,
  type Values,
  type Variable,
} from '../shared/variables.ts';
import { readSeed } from '../private-network/identity.ts';
import { readSwarmKey, type SwarmKey } from '../private-network/key.ts';
import { MAX_ANNOUNCED, parseListen } from './announce.ts';
import { fileDescriptorWarning, readResources, type Resources } from './default-limits.ts';
import { readAnnounce, readIdentity } from './identity.ts';
import { readLimits } from './limits.ts';

/** Maximum addresses and networks of load balancers. */
const MAX_PROXIES = 32;

/** Maximum listen addresses: IPv4 and IPv6 on a few networks. */
const MAX_LISTEN = 8;

/** Every variable of the relay. */
export const variables = {
  RELAY_LISTEN: list(parseListen, MAX_LISTEN, {
    fallback: '/ip4/0.0.0.0/tcp/4001',
    doc: 'Multiaddrs to listen on, comma-separated. If one cannot be listened on, the relay does not start. On a machine without IPv6, addresses of IPv6 are neither listened on nor announced, with a warning, as long as there are others.',
    audience: 'set',
  }),
  RELAY_ANNOUNCE: list((template) => template, MAX_ANNOUNCED, {
    fallback: '',
    doc: 'Multiaddrs at which devices reach this relay, comma-separated. {ordinal}, {podName}, {podIP} and {hostIP} are replaced. Empty: the addresses of the network interfaces that the relay listens on.',
    audience: 'set',
  }),
  RELAY_LOCAL: boolean({
    fallback: 'false',
    doc: 'Whether all devices run on the same machine as the relay. Only then does the relay announce loopback addresses.',
    audience: 'set',
  }),
  RELAY_SWARM_KEY_FILE: parsed(readSwarmKey, {
    fallback: '/run/secrets/swarm.key',
    doc: 'File with the swarm key of the private network.',
    audience: 'set',
  }),
  RELAY_IDENTITY_KEY_FILE: text({
    fallback: undefined,
    doc: 'File with the private key that the peer id is derived from. The relay creates it if it does not exist.',
    audience: 'set',
  }),
  RELAY_IDENTITY_SEED_FILE: parsed(readSeed, {
    fallback: undefined,
    doc: 'File with a secret of at least 32 bytes, from which the private keys of all replicas are derived.',
    audience: 'set',
  }),
  RELAY_IDENTITY_ORDINAL: integer(0, 65_535, {
    fallback: undefined,
    doc: 'Number of this replica, for its identity and {ordinal}. Default: the number at the end of RELAY_POD_NAME, or 0.',
    audience: 'rarely',
  }),
  RELAY_POD_NAME: text({
    fallback: undefined,
    doc: 'Name of the pod, for {podName} and the ordinal.',
    audience: 'rarely',
  }),
  RELAY_POD_IP: text({ fallback: undefined, doc: 'IP address of the pod, for {podIP}.', audience: 'rarely' }),
  RELAY_HOST_IP: text({
    fallback: undefined,
    doc: 'IP address of the node, for {hostIP}.',
    audience: 'rarely',
  }),
  RELAY_OPS_LISTEN: listenAddress({
    fallback: '0.0.0.0:9091',
    doc: 'Address and port of /livez, /readyz and /metrics. Keep this port private.',
    audience: 'set',
  }),

  RELAY_MAX_CONNECTIONS: integer(1, 100_000, {
    fallback: undefined,
    doc: 'Maximum open connections. Above this limit the longest idle one without a reservation or a circuit is evicted; if there is none, further connections are refused. Default: two for each of RELAY_MAX_RESERVATIONS.',
  }),
  RELAY_MAX_CONNECTIONS_PER_PEER: integer(1, 1024, {
    fallback: '32',
    doc: 'Maximum open connections of one peer. Further connections are refused, unless others sent no byte for 30 seconds; these are closed. A device of rr 1.x opens about ten.',
  }),
  RELAY_MAX_PENDING_CONNECTIONS: integer(1, 100_000, {
    fallback: undefined,
    doc: 'Maximum pending handshakes. Above this limit one that its client delays is evicted. Default: one for each of RELAY_MAX_RESERVATIONS.',
  }),
  RELAY_HANDSHAKE_SECONDS: integer(1, 60, {
    fallback: '10',
    doc: 'Handshake deadline of a connection, from its turn until the muxer. The connection is closed after this time. A client has three times as long to prove the swarm key, and may then wait 60 seconds for its turn.',
    audience: 'rarely',
  }),
  RELAY_IDLE_SECONDS: integer(5, 86_400, {
    fallback: '120',
    doc: 'Idle timeout of a connection with neither a reservation nor a stream other than ping and identify. The connection is closed after this time.',
    audience: 'rarely',
  }),
  RELAY_ADDRESSES_ARE_REAL: boolean({
    fallback: 'false',
    doc: 'Whether source addresses are those of the devices and not of a load balancer. Only then do limits per address apply, and only then does a full relay evict the newest reservation, circuit or connection of the address that has the most for a device of an address that has none.',
    audience: 'set',
  }),
  RELAY_TRUSTED_PROXIES: list(parseNetwork, MAX_PROXIES, {
    fallback: '',
    doc: 'Addresses and networks of the load balancers in front of the relay, whose headers of the PROXY protocol are trusted with RELAY_PROXY_PROTOCOL.',
    audience: 'set',
  }),
  RELAY_PROXY_PROTOCOL: boolean({
    fallback: 'false',
    doc: 'Whether connections from RELAY_TRUSTED_PROXIES begin with a header of the PROXY protocol (version 1 or 2), which has the address of the device. Also set RELAY_ADDRESSES_ARE_REAL=true, so that limits per address apply. A trusted proxy without this header is disconnected; other clients need none.',
    audience: 'set',
  }),
  RELAY_MAX_CONNECTIONS_PER_ADDRESS: integer(1, 100_000, {
    fallback: '256',
    doc: 'Maximum connections from one address. Further connections are refused. Applies only with RELAY_ADDRESSES_ARE_REAL.',
  }),
  RELAY_MAX_RESERVATIONS_PER_ADDRESS: integer(1, 100_000, {
    fallback: '128',
    doc: 'Maximum reservations from one address. Further reservations are refused. Applies only with RELAY_ADDRESSES_ARE_REAL.',
  }),

  RELAY_MAX_RESERVATIONS: integer(1, 100_000, {
    fallback: undefined,
    doc: 'Maximum reservations. Further devices are refused and cannot be reached through this relay. Default: derived from the memory of the container, or half of that of the machine, and from its maximum of open files: 4544 with 512 MiB.',
  }),
  RELAY_RESERVATION_SECONDS: integer(60, 604_800, {
    fallback: '86400',
    doc: 'Lifetime of a reservation in the response to its device, which refreshes it before by its own clock; a clock that is wrong by less does no harm. The relay itself keeps a reservation as long as its connection is open.',
    audience: 'rarely',
  }),
  RELAY_RESERVATIONS_PER_MINUTE: integer(1, 60_000, {
    fallback: '30',
    doc: 'Maximum new reservations of one peer per minute; also the burst. Further requests are refused. A refresh on the same connection is not counted and never refused.',
    audience: 'rarely',
  }),
  RELAY_MAX_CIRCUITS: integer(1, 100_000, {
    fallback: undefined,
    doc: 'Maximum circuits. Further circuits are refused; devices try again. Default: a quarter of RELAY_MAX_RESERVATIONS.',
  }),
  RELAY_MAX_CIRCUITS_PER_PEER: integer(1, 4096, {
    fallback: undefined,
    doc: 'Maximum circuits of one peer as source. Further circuits are refused. If it is set, it is also the default of RELAY_MAX_CIRCUITS_PER_TARGET. Default: 64.',
  }),
  RELAY_MAX_CIRCUITS_PER_TARGET: integer(1, 100_000, {
    fallback: undefined,
    doc: 'Maximum circuits of one peer as target, such as a hub that all devices of its user dial in the same second. Further circuits are refused. Default: three quarters of RELAY_MAX_CIRCUITS, at least 64: 384 with 512 MiB.',
  }),
  RELAY_CIRCUITS_PER_MINUTE: integer(1, 60_000, {
    fallback: undefined,
    doc: 'Maximum circuit requests of one peer per minute; also the burst. Further requests are refused. Default: RELAY_MAX_CIRCUITS, so that a hub can dial all devices of its user once a minute, at least 240: 512 with 512 MiB.',
  }),
  RELAY_CIRCUIT_SECONDS: integer(1, 604_800, {
    fallback: '900',
    doc: 'Maximum duration of one circuit. The circuit is then reset; a sync continues over a new circuit.',
  }),
  RELAY_CIRCUIT_IDLE_SECONDS: integer(1, 604_800, {
    fallback: '300',
    doc: 'Idle timeout of one circuit: it is reset when it relays no byte for this time.',
  }),
  RELAY_CIRCUIT_BYTES: integer(1024, Number.MAX_SAFE_INTEGER, {
    fallback: '67108864',
    doc: 'Maximum bytes of one circuit in each direction. The circuit is then reset; a sync continues over a new circuit.',
  }),
  RELAY_CIRCUIT_BYTES_PER_SECOND: integer(0, Number.MAX_SAFE_INTEGER, {
    fallback: '0',
    doc: 'Rate limit of one circuit, both directions together, in bytes per second; 0 means no limit.',
  }),
  RELAY_PEER_BYTES_PER_SECOND: integer(0, Number.MAX_SAFE_INTEGER, {
    fallback: '0',
    doc: 'Rate limit of all circuits that the same peer opened, taken together, in bytes per second; 0 means no limit.',
  }),
  RELAY_CIRCUIT_BUFFER_BYTES: integer(256 * 1024, 64 * 1024 * 1024, {
    fallback: '1048576',
    doc: 'Maximum bytes buffered for a slow receiver, for each circuit and direction; the same amount may wait to be sent. A circuit transfers at most this amount per round trip.',
    audience: 'rarely',
  }),
  RELAY_BUFFER_BYTES: integer(1024 * 1024, Number.MAX_SAFE_INTEGER, {
    fallback: '33554432',
    doc: 'Maximum bytes buffered for slow receivers by all circuits together. Above this limit the relay stops reading from the senders.',
  }),
  RELAY_DRAIN_SECONDS: integer(0, 3600, {
    fallback: '30',
    doc: 'Drain deadline: circuits that are still open this long after SIGTERM are reset.',
  }),
  RUSTORY_POISON_READS: poisonReads,
  LOG_LEVEL: logLevel,
} satisfies Record<string, Variable<unknown>>;

export const PROGRAM: Program = {
  name: 'rustory-relay',
  purpose: `a circuit-relay-v2 server for one private network, through which devices that cannot reach each other directly connect.

"rustory-relay peer-id" prints the peer id of the configured identity and exits.`,
  variables,
};

/** The values of all variables. */
export type RelayValues = Values<typeof variables>;

/** Every limit of the relay. Each that is set is also a series of the metric `rustory_relay_limit`. */
export type RelayLimits = ReturnType<typeof readLimits>;

export interface RelayConfig {
  readonly listen: readonly Multiaddr[];
  /** Empty: the addresses of the network interfaces. */
  readonly announce: readonly Multiaddr[];
  /** Whether all devices are on this machine. */
  readonly isLocal: boolean;
  readonly swarmKey: SwarmKey;
  readonly identity: PrivateKey;
  readonly opsListen: ListenAddress;
  readonly limits: RelayLimits;
  /** What the defaults of the limits follow from. */
  readonly resources: Resources;
  readonly trustedProxies: readonly Network[];
  /** Whether the trusted proxies send headers of the PROXY protocol. */
  readonly proxyProtocol: boolean;
  /** Whether the read buffer is overwritten after each read. */
  readonly poisonReads: boolean;
  readonly drainMs: number;
  readonly logLevel: string;
  /** Whole sentences about what has no effect; for the log. */
  readonly warnings: readonly string[];
}

/** Reads the whole configuration. @throws ConfigError with all problems at once */
export async function readRelayConfig(
  environment: NodeJS.ProcessEnv,
  resources: Resources = readResources(),
): Promise<RelayConfig> {
  const { values, problems, complete } = readEnvironment(variables, environment);
  if (values.RELAY_LISTEN?.length === 0)
    problems.push(
      'RELAY_LISTEN: there is no multiaddr in it; set at least one, such as /ip4/0.0.0.0/tcp/4001.',
    );
  if (values.RELAY_PROXY_PROTOCOL === true && values.RELAY_TRUSTED_PROXIES?.length === 0)
    problems.push(
      'RELAY_PROXY_PROTOCOL: set without RELAY_TRUSTED_PROXIES, so no header would be trusted; set the addresses of the load balancers too.',
    );
  const identity = await readIdentity(values, environment, problems);
  const announce = readAnnounce(values, identity, problems);
  const all = complete();
  if (identity === undefined) throw new ConfigError(problems);
  const limits = readLimits(all, resources);
  return {
    // The same address twice could not be listened on the second time.
    listen: [...new Map(all.RELAY_LISTEN.map((address) => [address.toString(), address])).values()],
    announce,
    isLocal: all.RELAY_LOCAL,
    swarmKey: all.RELAY_SWARM_KEY_FILE,
    identity,
    opsListen: all.RELAY_OPS_LISTEN,
    limits,
    resources,
    trustedProxies: all.RELAY_TRUSTED_PROXIES,
    proxyProtocol: all.RELAY_PROXY_PROTOCOL,
    poisonReads: all.RUSTORY_POISON_READS,
    drainMs: all.RELAY_DRAIN_SECONDS * 1000,
    logLevel: all.LOG_LEVEL,
    warnings: [
      ...unknownVariableWarnings(variables, 'RELAY_', environment),
      ...[fileDescriptorWarning(limits, resources), proxyWarning(all)].filter(
        (warning) => warning !== undefined,
      ),
    ],
  };
}

function proxyWarning(values: RelayValues): string | undefined {
  if (!values.RELAY_PROXY_PROTOCOL || values.RELAY_ADDRESSES_ARE_REAL) return undefined;
  return 'RELAY_PROXY_PROTOCOL is set and RELAY_ADDRESSES_ARE_REAL is not, so the addresses of devices are only logged; set RELAY_ADDRESSES_ARE_REAL=true for limits per address.';
}

/** Reads only the identity, without the other required variables. @throws ConfigError */
export async function readIdentityConfig(environment: NodeJS.ProcessEnv): Promise<PrivateKey> {
  const { RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE, RELAY_IDENTITY_ORDINAL, RELAY_POD_NAME } =
    variables;
  const { values, problems } = readEnvironment(
    { RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE, RELAY_IDENTITY_ORDINAL, RELAY_POD_NAME },
    environment,
  );
  const identity = await readIdentity(values, environment, problems);
  if (identity === undefined || problems.length > 0) throw new ConfigError(problems);
  return identity;
}
