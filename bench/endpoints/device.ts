// A device as the relay sees it: it connects, reserves, opens and accepts circuits, and answers identify and ping.
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md, https://github.com/libp2p/specs/tree/master/identify
import { type Connection, type MuxerName, secure, type SecureOptions } from './connection.ts';
import { base58, createIdentity, fieldsOf, type Identity } from './identity.ts';
import { accept, select } from './multistream.ts';
import type { Role } from './noise.ts';
import type { MuxStream, Session } from './mux.ts';
import { PipeReader, varint, withLength } from './pipe.ts';
import { dialTcp, type HostPort } from './socket.ts';

export const HOP = '/libp2p/circuit/relay/0.2.0/hop';
export const STOP = '/libp2p/circuit/relay/0.2.0/stop';
export const IDENTIFY = '/ipfs/id/1.0.0';
export const PING = '/ipfs/ping/1.0.0';

const STATUS_OK = 100;
const PING_BYTES = 32;

const RESERVE = withLength(Buffer.from([0x08, 0]));
/** A stop message: type STATUS, status OK. */
const STOP_OK = withLength(Buffer.from([0x08, 1, 0x20, STATUS_OK]));

export interface RelayTarget extends HostPort {
  /** As text. */
  readonly peerId: string;
}

/** Serves a stream of a protocol that the other side has opened. */
export type Handler = (reader: PipeReader, stream: MuxStream) => Promise<void> | void;

/** Host, port and peer id of `/ip4/HOST/tcp/PORT/p2p/PEER`. */
export function parseRelay(address: string): RelayTarget {
  const [, , host = '', , port, , peerId = ''] = address.split('/');
  return { host, port: Number(port), peerId };
}

export class Device {
  readonly identity: Identity = createIdentity();
  readonly #inbound: Pick<SecureOptions, 'endpoint' | 'onStream'>;
  /** Handlers by protocol, in addition to identify and ping. */
  readonly handlers = new Map<string, Handler>();
  readonly #identifyAnswer: Buffer;

  constructor(key: Buffer, muxer: MuxerName) {
    this.#inbound = {
      endpoint: { identity: this.identity, key, muxer },
      onStream: (stream) => void this.#serveStream(stream).catch(() => stream.destroy()),
    };
    this.#identifyAnswer = withLength(identifyMessage(this.identity));
  }

  get peerIdText(): string {
    return base58(this.identity.peerId);
  }

  /** Connects to the relay, and identifies it as rust-libp2p does on every connection. */
  async connect(relay: RelayTarget): Promise<Session> {
    const pipe = await dialTcp(relay);
    try {
      const { session } = await secure(pipe, {
        ...this.#inbound,
        role: 'initiator',
        depth: 0,
        expected: relay.peerId,
      });
      await identify(session, HOP);
      return session;
    } catch (error) {
      pipe.destroy();
      throw error;
    }
  }

  /** Secures a circuit, and serves the streams in it. @throws Error when the other side is not `expected` */
  async secureCircuit(circuit: PipeReader, role: Role, expected?: string): Promise<Connection> {
    return secure(circuit, { ...this.#inbound, role, depth: 1, expected });
  }

  async #serveStream(stream: MuxStream): Promise<void> {
    const reader = new PipeReader(stream);
    const isKnown = (name: string): boolean => name === IDENTIFY || name === PING || this.handlers.has(name);
    const protocol = await accept(reader, isKnown);
    if (protocol === IDENTIFY) {
      stream.write(this.#identifyAnswer);
      stream.end();
    } else if (protocol === PING) echo(reader, stream);
    else await this.handlers.get(protocol)?.(reader, stream);
  }
}

function echo(reader: PipeReader, stream: MuxStream): void {
  reader.handOver({
    onBytes: (bytes) => stream.write(bytes),
    onWritable() {},
    onEnd: () => stream.end(),
    onClose() {},
  });
}

function fieldOf(number: number, bytes: Buffer): Buffer[] {
  return [varint(number * 8 + 2), varint(bytes.length), bytes];
}

/** What a device says about itself: public key, protocols, and versions. */
function identifyMessage(identity: Identity): Buffer {
  return Buffer.concat([
    ...fieldOf(1, identity.publicKey),
    ...[IDENTIFY, PING, STOP].flatMap((protocol) => fieldOf(3, Buffer.from(protocol))),
    ...fieldOf(5, Buffer.from('/rustory/1.0.0')),
    ...fieldOf(6, Buffer.from('rustory-bench')),
  ]);
}

/** Asks the other side what it is. @throws Error when it does not have the protocol */
export async function identify(session: Session, required: string): Promise<void> {
  const stream = session.openStream();
  const reader = await select(stream, IDENTIFY);
  const message = await reader.readMessage();
  stream.end();
  for (const { field, bytes } of fieldsOf(message)) if (field === 3 && bytes.toString() === required) return;
  throw new Error(`The other side does not list the protocol ${required}.`);
}

/** @throws Error when the relay refuses */
export async function reserve(session: Session): Promise<void> {
  const stream = session.openStream();
  const reader = await select(stream, HOP);
  stream.write(RESERVE);
  expectStatus('RESERVE', 5, await reader.readMessage());
  stream.end();
}

/** A circuit to the peer with this id: its stream of bytes. @throws Error when the relay refuses */
export async function openCircuit(session: Session, peerId: Buffer): Promise<PipeReader> {
  const stream = session.openStream();
  const reader = await select(stream, HOP);
  const peer = Buffer.concat([Buffer.from([0x0a, peerId.length]), peerId]);
  stream.write(withLength(Buffer.concat([Buffer.from([0x08, 1, 0x12, peer.length]), peer])));
  expectStatus('CONNECT', 5, await reader.readMessage());
  return reader;
}

/** A handler of the stop protocol that accepts every circuit. */
export function acceptCircuits(use: (reader: PipeReader, source: Buffer) => Promise<void> | void): Handler {
  return async (reader) => {
    const message = await reader.readMessage();
    let source: Buffer = Buffer.alloc(0);
    for (const { field, bytes } of fieldsOf(message))
      if (field === 2) for (const inner of fieldsOf(bytes)) if (inner.field === 1) source = inner.bytes;
    reader.pipe.write(STOP_OK);
    await use(reader, source);
  };
}

/** Opens the ping stream that rust-libp2p keeps for as long as the connection exists, and waits for one answer. */
export async function ping(session: Session): Promise<void> {
  const reader = await select(session.openStream(), PING);
  const sent = Buffer.alloc(PING_BYTES, 7);
  reader.pipe.write(sent);
  if (!(await reader.read(PING_BYTES)).equals(sent))
    throw new Error('The answer to a ping differs from the ping.');
}

function expectStatus(request: string, statusField: number, message: Buffer): void {
  let status = 0;
  for (const { field, value } of fieldsOf(message)) if (field === statusField) status = value;
  if (status !== STATUS_OK) throw new Error(`The relay answered ${request} with status ${status}.`);
}
