// A connection with all its layers: swarm key, Noise and muxer, on TCP or inside a circuit.
import { base58, type Identity } from './identity.ts';
import { MplexSession } from './mplex.ts';
import { accept, propose } from './multistream.ts';
import type { MuxStream, Session } from './mux.ts';
import { type Role, shakeHands } from './noise.ts';
import { type Pipe, PipeReader } from './pipe.ts';
import { type Depth, PskPipe } from './psk.ts';
import { YamuxSession } from './yamux.ts';

export type MuxerName = 'yamux' | 'mplex';

const NOISE = '/noise';
const MUXERS = { yamux: '/yamux/1.0.0', mplex: '/mplex/6.7.0' } as const satisfies Record<MuxerName, string>;

export interface Endpoint {
  readonly identity: Identity;
  /** The swarm key. */
  readonly key: Buffer;
  readonly muxer: MuxerName;
}

export interface Connection {
  readonly session: Session;
  /** The peer id that the other side has proved. */
  readonly peerId: Buffer;
}

export interface SecureOptions {
  readonly endpoint: Endpoint;
  readonly role: Role;
  readonly depth: Depth;
  /** The peer id that the other side must have, as text. */
  readonly expected?: string | undefined;
  /** Called for each stream that the other side opens. */
  readonly onStream: (stream: MuxStream) => void;
}

/**
 * @param from a new pipe, or the reader of a circuit, which may have bytes that came with the answer to CONNECT
 * @throws Error when a layer fails or the other side is not `expected`
 */
export async function secure(from: Pipe | PipeReader, options: SecureOptions): Promise<Connection> {
  const { role, depth, expected, onStream } = options;
  const { identity, key, muxer } = options.endpoint;
  const isInitiator = role === 'initiator';
  const psk = new PskPipe(from instanceof PipeReader ? from.pipe : from, key, depth);
  const plain = new PipeReader(psk);
  if (from instanceof PipeReader) from.handOver(psk);
  if (isInitiator) await propose(plain, NOISE);
  else await accept(plain, (name) => name === NOISE);
  const { channel, peerId } = await shakeHands(plain, role, identity, depth);
  if (expected !== undefined && base58(peerId) !== expected)
    throw new Error(`The other side is ${base58(peerId)} and not ${expected}.`);
  const secured = new PipeReader(channel);
  plain.handOver(channel);
  const name = MUXERS[muxer];
  if (isInitiator) await propose(secured, name);
  else await accept(secured, (proposal) => proposal === name);
  const session = muxer === 'yamux' ? new YamuxSession(channel, isInitiator) : new MplexSession(channel);
  session.onStream = onStream;
  secured.handOver(session);
  return { session, peerId };
}
