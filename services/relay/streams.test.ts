// Streams that stock clients do not open in this way: without a protocol, with a message at once, or very many.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Connection, Libp2p, Stream, StreamMuxer } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { HopMessage } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import {
  hop,
  muxers,
  type Relay,
  RESERVE,
  startLoggedRelay,
  startPeer,
  startRelay,
} from '../../testing/relay.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { HOP_PROTOCOL, withLength } from './messages.ts';

afterEach(cleanUp);

/** A stream without negotiation. The member that leads to the muxer is not public. */
async function openRaw(connection: Connection): Promise<{ stream: Stream; received(): string }> {
  const muxer = Reflect.get(connection, 'muxer') as StreamMuxer;
  const stream = await muxer.createStream({});
  const chunks: Uint8Array[] = [];
  stream.addEventListener('message', ({ data }) => void chunks.push(data.subarray()));
  return { stream, received: () => Buffer.concat(chunks).toString('latin1') };
}

/** Messages of multistream-select. */
function select(...names: string[]): Buffer {
  return Buffer.concat(names.map((name) => withLength(Buffer.from(`${name}\n`))));
}

const HEADER = '/multistream/1.0.0';

async function connect(peer: Libp2p, relay: Relay): Promise<Connection> {
  const connection = await peer.dial(relay.address);
  // The streams of identify are not counted with those of the test.
  await until(() => connection.streams.length === 0, 'identify is done');
  return connection;
}

describe.each([
  ['yamux', muxers],
  ['mplex', muxers.slice(1)],
])('a stream of %s', (_, offered) => {
  test('may propose several protocols, and a message together with the one that is accepted', async () => {
    const relay = await startRelay();
    const peer = await startPeer(undefined, { muxers: offered });
    const { stream, received } = await openRaw(await connect(peer, relay));
    stream.send(select(HEADER, '/unknown/1.0.0'));
    await until(() => received() === select(HEADER, 'na').toString('latin1'), 'it is refused');
    const request = withLength(HopMessage.encode(RESERVE).subarray());
    stream.send(Buffer.concat([select(HOP_PROTOCOL), request]));
    const accepted = select(HEADER, 'na', HOP_PROTOCOL).toString('latin1');
    await until(() => received().length > accepted.length, 'the request is answered');
    expect(received().startsWith(accepted)).toBe(true);
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
  });

  test('is reset when it begins with other bytes, and disturbs no other', async () => {
    const relay = await startRelay({ limits: { handshakeSeconds: 1 } });
    const peer = await startPeer(undefined, { muxers: offered });
    const { stream } = await openRaw(await connect(peer, relay));
    stream.send(Buffer.alloc(2_000, 0xff));
    await until(() => stream.status !== 'open', 'the stream is reset');
    expect((await hop(peer, relay, RESERVE)).status).toBe('OK');
  });

  test('is reset above the maximum of its protocol, and disturbs no other', async () => {
    const clock = createManualClock();
    const relay = await startRelay({ limits: { circuitsPerPeer: 1 } }, { clock });
    const peer = await startPeer(undefined, { muxers: offered });
    const connection = await connect(peer, relay);
    const streams = await Promise.all(
      Array.from({ length: 70 }, async () => {
        const stream = await connection.newStream(HOP_PROTOCOL, { maxOutboundStreams: 100 });
        return stream;
      }),
    );
    await until(
      () => streams.filter(({ status }) => status !== 'open').length === 5,
      'those above the maximum are reset',
    );
    const open = streams.find(({ status }) => status === 'open');
    if (open === undefined) throw new Error('There is no open stream.');
    const messages = pbStream(open).pb(HopMessage);
    await messages.write(RESERVE, { signal: deadlineSignal() });
    expect((await messages.read({ signal: deadlineSignal() })).status).toBe('OK');
  });
});

test('a stream without a protocol is reset at the deadline of a handshake', async () => {
  const relay = await startRelay({ limits: { handshakeSeconds: 1 } });
  const connection = await connect(await startPeer(), relay);
  const { stream } = await openRaw(connection);
  stream.send(select(HEADER));
  await until(() => stream.status !== 'open', 'the stream is reset');
  expect(connection.status).toBe('open');
});

test('a peer that opens more streams per second than the maximum loses its connection, and is counted and logged', async () => {
  const { relay, lines } = await startLoggedRelay();
  const peer = await startPeer(undefined, { muxers: muxers.slice(1) });
  const connection = await connect(peer, relay);
  const muxer = Reflect.get(connection, 'muxer') as StreamMuxer;
  await Promise.allSettled(Array.from({ length: 700 }, async () => muxer.createStream({})));
  await until(() => connection.status !== 'open', 'it is closed');
  const series = 'rustory_relay_muxer_violations_total{reason="too_many_new_streams"}';
  expect(await relay.metric(series)).toBe(1);
  expect(lines.filter(({ msg }) => msg === 'connection closed by its muxer')).toMatchObject([
    {
      level: 30,
      reason: 'too_many_new_streams',
      peer: peer.peerId.toString(),
      address: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/),
    },
  ]);
});
