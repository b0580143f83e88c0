// A device of `rr` as far as pushes, pulls and registrations are concerned, written from what released clients send and
// without the code of the peer: it dials, and it answers nothing. A test may send any bytes with it.
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { SwarmKey } from '../services/private-network/key.ts';
import { onCleanup } from './cleanup.ts';
import { readToEnd, sendMessage } from './raw-stream.ts';
import { createStockStack, STOCK_MPLEX, STOCK_YAMUX } from './stock-stack.ts';
import type { WireDeletion, WireEntry } from './wire-entries.ts';
import {
  decode,
  encode,
  type Encoding,
  PULL,
  type PullAnswer,
  type PullRequest,
  PUSH,
  type PushAnswer,
  type PushRequest,
} from './wire-messages.ts';

/** The first wait of a client of `rr` for the answer to a push, in milliseconds. Then it waits 10 and 20 seconds. */
export const FIRST_PUSH_WAIT_MS = 5_000;

/** Time for a connection or a stream in a test on a busy machine, in milliseconds. */
const SETUP_MS = 30_000;

/** Default deadline of a request, in milliseconds. */
const REQUEST_MS = 60_000;

/** Maximum streams of one connection and protocol, for tests that open many. */
const MAX_STREAMS = 1_024;

/** Entries of one pull; the maximum of `rr`. */
const PULL_LIMIT = 1_000;

export interface RequestOptions {
  /** Default `zstd`. */
  readonly encoding?: Encoding;
  /** Default 60 seconds. */
  readonly signal?: AbortSignal;
}

export interface PushClientOptions {
  readonly swarmKey: SwarmKey;
  /** Default: a new one. Two clients may have the same, as the processes of one device do. */
  readonly identity?: PrivateKey;
  /** Default `yamux`. */
  readonly muxer?: 'yamux' | 'mplex';
}

export interface PushClient {
  readonly peerId: string;
  readonly identity: PrivateKey;
  readonly libp2p: Libp2p;
  /** Opens a new connection to an address that ends in a peer id, also when there is one. */
  connect(address: string): Promise<Connection>;
  /** Sends any bytes on a new stream, closes it, and returns the bytes of the answer. */
  exchange(
    connection: Connection,
    protocol: string,
    bytes: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Buffer>;
  push(connection: Connection, request: PushRequest, options?: RequestOptions): Promise<PushAnswer>;
  pull(connection: Connection, request: PullRequest, options?: RequestOptions): Promise<PullAnswer>;
  /** Pulls pages until one is empty. */
  pullAll(connection: Connection, options?: RequestOptions): Promise<Required<PushRequest>>;
  /** Registers with any `meta`, as `rr` 1.x: at once, without a heartbeat. */
  register(tracker: string, meta: Record<string, unknown>, options?: RegisterOptions): Promise<void>;
  unregister(tracker: string): Promise<void>;
  stop(): Promise<void>;
}

export interface RegisterOptions {
  readonly addrs?: readonly string[];
  readonly token?: string;
}

/** Starts a client. It is stopped after the test. */
export async function startPushClient(options: PushClientOptions): Promise<PushClient> {
  const identity = options.identity ?? (await generateKeyPair('Ed25519'));
  const stack = createStockStack({
    identity,
    key: options.swarmKey,
    muxers: [options.muxer === 'mplex' ? STOCK_MPLEX : STOCK_YAMUX],
    handshakeMs: SETUP_MS,
  });
  const libp2p = await createLibp2p({
    ...stack,
    transports: [...stack.transports, circuitRelayTransport()],
    services: { identify: identify() },
  });
  onCleanup(async () => libp2p.stop());
  const peerId = libp2p.peerId.toString();
  const client: PushClient = {
    peerId,
    identity,
    libp2p,
    connect: async (address) =>
      libp2p.dial(multiaddr(address), { force: true, signal: AbortSignal.timeout(SETUP_MS) }),
    async exchange(connection, protocol, bytes, signal = AbortSignal.timeout(REQUEST_MS)) {
      const stream = await openStream(connection, protocol, signal);
      const [answer] = await Promise.all([readToEnd(stream, signal), sendMessage(stream, bytes, signal)]);
      return answer;
    },
    async push(connection, { entries = [], deletions }, { encoding = 'zstd', signal } = {}) {
      const request = encode({ entries, deletions }, encoding);
      const answer = await client.exchange(connection, PUSH[encoding], request, signal);
      return decode(answer, encoding) as PushAnswer;
    },
    async pull(connection, request, { encoding = 'zstd', signal } = {}) {
      const answer = await client.exchange(connection, PULL[encoding], encode(request, encoding), signal);
      return decode(answer, encoding) as PullAnswer;
    },
    pullAll: async (connection, requestOptions) => pullAll(client, connection, requestOptions),
    async register(tracker, meta, { addrs = [], token } = {}) {
      await post(`${tracker}/api/v1/peers/register`, registration(peerId, addrs, meta), token);
    },
    async unregister(tracker) {
      await post(`${tracker}/api/v1/peers/unregister`, { peer_id: peerId });
    },
    stop: async () => libp2p.stop(),
  };
  return client;
}

/** Opens a stream on a connection, which may be a circuit. */
export async function openStream(
  connection: Connection,
  protocol: string,
  signal: AbortSignal = AbortSignal.timeout(SETUP_MS),
): Promise<Stream> {
  return connection.newStream(protocol, {
    signal,
    runOnLimitedConnection: true,
    maxOutboundStreams: MAX_STREAMS,
  });
}

async function pullAll(
  client: PushClient,
  connection: Connection,
  options: RequestOptions | undefined,
): Promise<Required<PushRequest>> {
  const [entries, deletions]: [WireEntry[], WireDeletion[]] = [[], []];
  for (let [cursor, deleteCursor] = [0, 0]; ;) {
    const request = { cursor, delete_cursor: deleteCursor, limit: PULL_LIMIT };
    const answer = await client.pull(connection, request, options);
    if (answer.entries.length + (answer.deletions?.length ?? 0) === 0) return { entries, deletions };
    entries.push(...answer.entries);
    deletions.push(...(answer.deletions ?? []));
    cursor = answer.next_cursor ?? cursor;
    deleteCursor = answer.next_delete_cursor ?? deleteCursor;
  }
}

/** The body that `rr` 1.x sends. The tracker ignores the proof. */
function registration(peerId: string, addrs: readonly string[], meta: Record<string, unknown>): object {
  return {
    peer_id: peerId,
    addrs,
    meta: { hostname: null, version: '1.1.1', build_revision: null, build_dirty: null, ...meta },
    retirement_protocol: 1,
    membership_protocol: 1,
    membership_enforced: false,
    device_proof: null,
  };
}

async function post(url: string, body: object, token?: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
}
