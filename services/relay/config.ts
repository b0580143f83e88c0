// The relay's configuration: the one place that reads its environment.
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import {
  boolean,
  integer,
  list,
  listenAddress,
  logLevel,
  parsed,
  readEnvironment,
  type Values,
  type Variable,
} from '../shared/env.ts';
import { allConfigured, ConfigError, describeError } from '../shared/errors.ts';
import { identityFromSeed, readOrCreateIdentity, readSeed } from '../swarm/identity.ts';
import { readSwarmKey } from '../swarm/key.ts';
import {
  announcedBytes,
  expandAnnounced,
  MAX_ANNOUNCED,
  MAX_ANNOUNCED_BYTES,
  namesOtherPeer,
  ordinalOf,
  parseListen,
} from './announce.ts';

/** Addresses a relay listens on: IPv4 and IPv6, perhaps on a few networks. */
const MAX_LISTEN = 8;

const asText = (text: string): string => text;

/** Every variable of the relay; `docs/environment.md` is made from this table. */
export const variables = {
  RELAY_LISTEN: list(
    parseListen,
    MAX_LISTEN,
    '/ip4/0.0.0.0/tcp/4001',
    'Multiaddrs to listen on, comma-separated.',
  ),
  RELAY_ANNOUNCE: list(
    asText,
    MAX_ANNOUNCED,
    '',
    'Multiaddrs at which devices reach this relay, comma-separated; {ordinal}, {podName}, {podIP} and {hostIP} are put in. Absent: those of the network interfaces it listens on.',
  ),
  RELAY_LOCAL: boolean(
    'false',
    'Whether all devices run on this machine, so that loopback addresses may be announced.',
  ),
  RELAY_SWARM_KEY_FILE: parsed(
    readSwarmKey,
    '/run/secrets/swarm.key',
    'File with the swarm key of the private network.',
  ),
  RELAY_IDENTITY_KEY_FILE: parsed(
    asText,
    undefined,
    'File with the private key that the peer id is made from; created where there is none.',
  ),
  RELAY_IDENTITY_SEED_FILE: parsed(
    readSeed,
    undefined,
    'File with a secret of at least 32 bytes, from which the private keys of all replicas are derived.',
  ),
  RELAY_IDENTITY_ORDINAL: integer(
    0,
    65_535,
    undefined,
    'Which replica this is, for its identity and {ordinal}. Absent: the number at the end of RELAY_POD_NAME, or 0.',
  ),
  RELAY_POD_NAME: parsed(asText, undefined, 'Name of the pod, for {podName} and the ordinal.'),
  RELAY_POD_IP: parsed(asText, undefined, 'IP address of the pod, for {podIP}.'),
  RELAY_HOST_IP: parsed(asText, undefined, 'IP address of the node, for {hostIP}.'),
  RELAY_OPS_LISTEN: listenAddress('0.0.0.0:9091', 'Where /livez, /readyz and /metrics are served.'),

  RELAY_MAX_CONNECTIONS: integer(
    1,
    100_000,
    '2048',
    'Connections at the same time; further ones are refused.',
  ),
  RELAY_MAX_CONNECTIONS_PER_PEER: integer(1, 1024, '8', 'Connections of one peer at the same time.'),
  RELAY_MAX_PENDING_CONNECTIONS: integer(
    1,
    10_000,
    '512',
    'Connections at the same time that have not yet proved the swarm key and who they are.',
  ),
  RELAY_HANDSHAKE_SECONDS: integer(1, 60, '10', 'How long a connection may take to prove that.'),
  RELAY_IDLE_SECONDS: integer(
    5,
    86_400,
    '120',
    'How long a connection with neither a reservation nor a stream may stay.',
  ),
  RELAY_ADDRESSES_ARE_REAL: boolean(
    'false',
    'Whether source addresses are those of the devices, not of a load balancer; only then are there limits for each address.',
  ),
  RELAY_MAX_CONNECTIONS_PER_ADDRESS: integer(
    1,
    100_000,
    '256',
    'Connections from one address, where RELAY_ADDRESSES_ARE_REAL.',
  ),
  RELAY_MAX_RESERVATIONS_PER_ADDRESS: integer(
    1,
    100_000,
    '128',
    'Reservations from one address, where RELAY_ADDRESSES_ARE_REAL.',
  ),

  RELAY_MAX_RESERVATIONS: integer(1, 100_000, '512', 'Reservations at the same time.'),
  RELAY_RESERVATIONS_PER_MINUTE: integer(
    1,
    60_000,
    '30',
    'Requests of one peer for a reservation, refreshes included; as many at once.',
  ),
  RELAY_MAX_CIRCUITS: integer(1, 100_000, '256', 'Circuits at the same time.'),
  RELAY_MAX_CIRCUITS_PER_PEER: integer(
    1,
    4096,
    '64',
    'Circuits of one peer at the same time; as source and as target counted apart.',
  ),
  RELAY_CIRCUITS_PER_MINUTE: integer(
    1,
    60_000,
    '240',
    'Requests of one peer for a circuit; as many at once.',
  ),
  RELAY_CIRCUIT_SECONDS: integer(1, 604_800, '900', 'How long one circuit may run.'),
  RELAY_CIRCUIT_IDLE_SECONDS: integer(1, 604_800, '300', 'How long one circuit may carry nothing.'),
  RELAY_CIRCUIT_BYTES: integer(
    1024,
    Number.MAX_SAFE_INTEGER,
    '67108864',
    'How many bytes one circuit may carry in each direction.',
  ),
  RELAY_CIRCUIT_BYTES_PER_SECOND: integer(
    0,
    Number.MAX_SAFE_INTEGER,
    '0',
    'Rate of one circuit, both directions together; 0 is no limit.',
  ),
  RELAY_PEER_BYTES_PER_SECOND: integer(
    0,
    Number.MAX_SAFE_INTEGER,
    '0',
    'Rate of all circuits together that one peer opened; 0 is no limit.',
  ),
  RELAY_CIRCUIT_BUFFER_BYTES: integer(
    256 * 1024,
    64 * 1024 * 1024,
    '1048576',
    'Bytes of one circuit and direction that may wait for a slower receiver, and as many that have yet to be sent. A circuit carries at most this much in the time a byte takes to its device and back.',
  ),
  RELAY_BUFFER_BYTES: integer(
    1024 * 1024,
    Number.MAX_SAFE_INTEGER,
    '33554432',
    'Bytes that may wait in the relay for slower receivers before it reads no more from their senders.',
  ),
  RELAY_DRAIN_SECONDS: integer(0, 3600, '30', 'How long running circuits may go on after SIGTERM.'),
  LOG_LEVEL: logLevel,
} satisfies Record<string, Variable<unknown>>;

export interface RelayConfig extends Omit<Values<typeof variables>, 'RELAY_ANNOUNCE'> {
  readonly RELAY_ANNOUNCE: readonly Multiaddr[];
  readonly identity: PrivateKey;
}

/** Reads the whole configuration. @throws ConfigError with all problems at once. */
export async function readRelayConfig(environment: NodeJS.ProcessEnv): Promise<RelayConfig> {
  const [values, identity] = await allConfigured(
    (async () => readEnvironment(variables, environment))(),
    readIdentityConfig(environment),
  );
  return {
    ...values,
    identity,
    RELAY_ANNOUNCE: readAnnounced(values, peerIdFromPrivateKey(identity).toString()),
  };
}

function readAnnounced(values: Values<typeof variables>, peerId: string): Multiaddr[] {
  const placeholders = {
    ordinal: (values.RELAY_IDENTITY_ORDINAL ?? ordinalOf(values.RELAY_POD_NAME))?.toString(),
    podName: values.RELAY_POD_NAME,
    podIP: values.RELAY_POD_IP,
    hostIP: values.RELAY_HOST_IP,
  };
  const problems: string[] = [];
  const announced: Multiaddr[] = [];
  for (const template of values.RELAY_ANNOUNCE) {
    try {
      const address = expandAnnounced(template, placeholders);
      if (namesOtherPeer(address, peerId))
        throw new Error(`has ${address.toString()}, but the peer id of this relay is ${peerId}`);
      announced.push(address);
    } catch (error) {
      problems.push(`RELAY_ANNOUNCE ${describeError(error)}`);
    }
  }
  const size = announcedBytes(announced);
  if (size > MAX_ANNOUNCED_BYTES)
    problems.push(
      `RELAY_ANNOUNCE has addresses of ${size} bytes together, and a reservation has room for ${MAX_ANNOUNCED_BYTES}: name fewer or shorter ones`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
  return announced;
}

/** The identity alone, for which nothing else of the configuration needs to be right. @throws ConfigError */
export async function readIdentityConfig(environment: NodeJS.ProcessEnv): Promise<PrivateKey> {
  const { RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE, RELAY_IDENTITY_ORDINAL, RELAY_POD_NAME } =
    variables;
  const values = readEnvironment(
    { RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE, RELAY_IDENTITY_ORDINAL, RELAY_POD_NAME },
    environment,
  );
  const { RELAY_IDENTITY_KEY_FILE: keyFile, RELAY_IDENTITY_SEED_FILE: seed } = values;
  const ordinal = values.RELAY_IDENTITY_ORDINAL ?? ordinalOf(values.RELAY_POD_NAME) ?? 0;
  if (keyFile !== undefined && seed === undefined) return readKeyFile(keyFile);
  if (seed !== undefined && keyFile === undefined) return identityFromSeed(seed, ordinal);
  throw new ConfigError([
    'RELAY_IDENTITY_KEY_FILE or RELAY_IDENTITY_SEED_FILE must be set, and only one of them: a relay whose peer id changes is lost to its devices',
  ]);
}

async function readKeyFile(path: string): Promise<PrivateKey> {
  try {
    return await readOrCreateIdentity(path);
  } catch (error) {
    throw new ConfigError([`RELAY_IDENTITY_KEY_FILE ${describeError(error)}`]);
  }
}
