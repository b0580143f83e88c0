// Empty syncs as rr 1.x makes them: each opens a new connection to the relay and a circuit, secures it, is identified, asks
// for entries, gets none, and leaves. Those that are pulled from hold reservations; in rr too they never accept circuits on the
// connections of their own syncs.
import { constants, zstdCompressSync } from 'node:zlib';
import {
  acceptCircuits,
  Device,
  type Handler,
  identify,
  IDENTIFY,
  openCircuit,
  parseRelay,
  type RelayTarget,
  reserve,
  STOP,
} from '../../endpoints/device.ts';
import { select } from '../../endpoints/multistream.ts';
import { readKey } from '../../endpoints/psk.ts';
import { type Prepare, repeat, within } from '../load-result.ts';

const PULL = '/rustory/sync-pull/1.0.1';

/** What rr gives everything with one peer, in seconds. */
const DEADLINE_SECONDS = 30;

function message(value: unknown): Buffer {
  return zstdCompressSync(JSON.stringify(value), { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
}

const REQUEST = message({ cursor: 12, limit: 1_000, delete_cursor: 0 });
const ANSWER = message({ entries: [], next_cursor: null, deletions: [], next_delete_cursor: null });

/** Answers a pull with nothing. Both directions end after one message. */
const servePull: Handler = async (reader, stream) => {
  const request = await reader.read(REQUEST.length);
  if (!request.equals(REQUEST)) throw new Error('The request differs from what was sent.');
  stream.write(ANSWER);
  stream.end();
};

async function sync(source: Device, target: Device, relay: RelayTarget): Promise<void> {
  const session = await source.connect(relay);
  try {
    const opened = await openCircuit(session, target.identity.peerId);
    const circuit = await source.secureCircuit(opened, 'initiator', target.peerIdText);
    const identified = identify(circuit.session, IDENTIFY);
    const stream = circuit.session.openStream();
    const reader = await select(stream, PULL);
    stream.write(REQUEST);
    stream.end();
    const answer = await reader.read(ANSWER.length);
    if (!answer.equals(ANSWER)) throw new Error('The answer to a pull differs from what was sent.');
    await identified;
    circuit.session.close();
  } finally {
    session.close();
  }
}

export const prepareSyncs: Prepare = async (options) => {
  const key = readKey(options.keyFile);
  const relay = parseRelay(options.relay);
  const targets: Device[] = [];
  const sources = Array.from({ length: options.devices }, () => new Device(key, options.muxer));
  for (let index = 0; index < options.devices; index += 1) {
    const device = new Device(key, options.muxer);
    device.handlers.set(PULL, servePull);
    device.handlers.set(
      STOP,
      acceptCircuits(async (opened) => {
        const { session } = await device.secureCircuit(opened, 'responder');
        await identify(session, IDENTIFY);
      }),
    );
    await reserve(await device.connect(relay));
    targets.push(device);
  }
  return async () =>
    repeat(options.operations, options.concurrency, async (index) => {
      const source = sources[index % sources.length] as Device;
      // Every source syncs with every target.
      const target = targets[(index + Math.floor(index / sources.length)) % targets.length] as Device;
      await within(DEADLINE_SECONDS, 'A sync', sync(source, target, relay));
    });
};
