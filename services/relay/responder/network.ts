// The network of the relay on the layers of `services/wire`: accepts connections, proves the swarm key and the peer ids,
// and passes streams to the handlers. It never dials.
import { publicKeyToProtobuf } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { describeError } from '../../shared/errors.ts';
import { createListenFailures, startNode } from '../../private-network/listen.ts';
import { testAccept } from '../../wire/accept-test.ts';
import { MPLEX_PROTOCOL } from '../../wire/mplex/codec.ts';
import { createMplexSession } from '../../wire/mplex/session.ts';
import { loadNoiseCrypto } from '../../wire/noise/crypto.ts';
import { createNoiseIdentity, type NoiseIdentity } from '../../wire/noise/identity.ts';
import { createTcpListener, type TcpListener } from '../../wire/tcp-listener.ts';
import type { TcpSocket } from '../../wire/tcp-socket.ts';
import { YAMUX_PROTOCOL } from '../../wire/yamux/codec.ts';
import { createYamuxSession } from '../../wire/yamux/session.ts';
import {
  MAX_CONNECTION_UNSENT_BYTES,
  type RelayNetwork,
  type RelayNetworkOptions,
  STREAMS_ABOVE_CIRCUITS,
} from '../network.ts';
import { createSigner } from '../signer.ts';
import { createAddresses } from './addresses.ts';
import { type ConnectionContext, WireConnection } from './connection.ts';
import { Dispatcher } from './dispatcher.ts';
import { createHandshakes, type CreateSession } from './handshake.ts';
import { createIdentify } from './identify.ts';

export function createResponderNetwork(options: RelayNetworkOptions): RelayNetwork {
  const { config, log } = options;
  const failures = createListenFailures();
  const ownId = peerIdFromPrivateKey(config.identity).toString();
  const listeners = new Map<Multiaddr, TcpListener>();
  const connections = new Set<WireConnection>();
  const addresses = createAddresses({
    config,
    peerId: ownId,
    listening: () => Array.from(listeners, ([address, listener]) => withPort(address, listener)),
    withoutIpv6: failures.withoutIpv6,
  });
  const context = createContext(options, addresses);

  async function listen(): Promise<void> {
    const { path, reason } = await testAccept();
    log.info({ path, reason, isPoisoned: options.io.reads.isPoisoned }, 'how sockets are read');
    const identity = await noiseIdentity(config);
    const accept = createAccept(options, { ownId, context, connections, identity });
    const onConnection = options.withProxyHeaders(accept);
    for (const address of config.listen) {
      const listener = createTcpListener({
        io: options.io,
        path,
        maxUnsentBytes: MAX_CONNECTION_UNSENT_BYTES + config.limits.circuitBufferBytes,
        onConnection,
        onError: (error) => log.error({ error: describeError(error) }, 'connections cannot be accepted'),
      });
      const [host, port] = address.getComponents();
      try {
        await listener.listen({ host: host?.value ?? '', port: Number(port?.value) });
        listeners.set(address, listener);
      } catch (error) {
        failures.onListenFailure(address, error);
      }
    }
    if (listeners.size === 0) throw new NotListeningError();
  }

  async function stop(): Promise<void> {
    for (const listener of listeners.values()) listener.close();
    listeners.clear();
    const { promise, resolve } = Promise.withResolvers<void>();
    let open = connections.size;
    if (open === 0) return;
    for (const connection of connections) {
      connection.onceClosed(() => {
        open -= 1;
        if (open === 0) resolve();
      });
      connection.close();
    }
    await promise;
  }

  return {
    addresses,
    withoutIpv6: failures.withoutIpv6,
    start: async () =>
      startNode(
        { start: listen, stop },
        { failures, listen: config.listen.map(String), setting: 'RELAY_LISTEN' },
      ),
    stop,
  };
}

/** None of the addresses can be listened on. The name is the one that `startNode` expects. */
class NotListeningError extends Error {
  override readonly name = 'UnsupportedListenAddressesError';
  readonly code = 'NOT_LISTENING';

  constructor() {
    super('The relay can listen on none of its addresses.');
  }
}

function createContext(
  { config, handlers, clock, log, onViolation }: RelayNetworkOptions,
  addresses: () => Multiaddr[],
): ConnectionContext {
  const protocols = handlers.map(({ protocol }) => protocol);
  const identify = createIdentify({ identity: config.identity, protocols, addresses, clock, log });
  return {
    clock,
    dispatcher: new Dispatcher({
      handlers: [identify, ...handlers],
      negotiationMs: config.limits.handshakeSeconds * 1000,
      clock,
    }),
    windowBytes: config.limits.circuitBufferBytes,
    onViolation,
  };
}

interface AcceptOptions {
  readonly ownId: string;
  readonly identity: NoiseIdentity;
  readonly context: ConnectionContext;
  /** All connections, those in their handshake included. */
  readonly connections: Set<WireConnection>;
}

/** Admits new connections and starts their handshakes. */
function createAccept(
  { config, cipher, limiter, handshakes }: RelayNetworkOptions,
  { ownId, identity, context, connections }: AcceptOptions,
): (tcp: TcpSocket) => void {
  const startHandshake = createHandshakes({
    key: config.swarmKey,
    cipher,
    identity,
    ownId,
    muxers: createMuxers(config),
    onOutcome(outcome, handshake) {
      handshakes.authenticated(outcome, handshake.connection);
      if (outcome === 'ok') handshakes.admit(handshake.connection, () => handshake.release());
    },
    onFinished({ connection }) {
      handshakes.finish(connection);
      return limiter.open(connection);
    },
  });
  return (tcp) => {
    const connection = new WireConnection(tcp, context);
    if (!limiter.accept(connection)) {
      connection.abort(new Error('The connection was refused.'));
      return;
    }
    connections.add(connection);
    connection.onceClosed(() => connections.delete(connection));
    handshakes.begin(connection);
    startHandshake(connection);
  };
}

function createMuxers({ limits }: RelayNetworkOptions['config']): ReadonlyMap<string, CreateSession> {
  const maxStreams = limits.circuitsPerPeer + limits.circuitsPerTarget + STREAMS_ABOVE_CIRCUITS;
  const shared = { isInitiator: false, maxStreams };
  // yamux is offered first, because it has flow control for each stream.
  return new Map<string, CreateSession>([
    [
      YAMUX_PROTOCOL,
      (below, owner) =>
        createYamuxSession({ ...shared, below, owner, maxWindowBytes: limits.circuitBufferBytes }),
    ],
    [MPLEX_PROTOCOL, (below, owner) => createMplexSession({ ...shared, below, owner })],
  ]);
}

async function noiseIdentity({ identity }: RelayNetworkOptions['config']): Promise<NoiseIdentity> {
  const publicKeyProtobuf = publicKeyToProtobuf(identity.publicKey);
  const signer = { publicKeyProtobuf, sign: createSigner(identity) };
  return createNoiseIdentity({ signer, crypto: loadNoiseCrypto(), muxers: [YAMUX_PROTOCOL, MPLEX_PROTOCOL] });
}

/** The address with the port that the system has chosen. */
function withPort(address: Multiaddr, listener: TcpListener): Multiaddr {
  const [host] = address.getComponents();
  return multiaddr(`/${host?.name}/${host?.value}/tcp/${listener.address()?.port}`);
}
