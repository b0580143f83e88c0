// Bulk data through circuits, in frames that fill a Noise message of 64 KiB. Every byte is compared with the pattern.
import { acceptCircuits, Device, openCircuit, parseRelay, reserve, STOP } from '../../endpoints/device.ts';
import { MAX_FRAME_DATA_BYTES, type MuxStream } from '../../endpoints/mux.ts';
import { readKey } from '../../endpoints/psk.ts';
import type { LoadOptions, LoadResult, Prepare } from '../load-result.ts';
import { isPattern, patternAt } from '../pattern.ts';

/** Sends the pattern as fast as the stream takes it, and then ends. */
function send(stream: MuxStream, bytes: number, onClose: (error: Error) => void): void {
  let position = 0;
  let hasEnded = false;
  const sendOn = (): void => {
    for (;;) {
      const count = Math.min(MAX_FRAME_DATA_BYTES, bytes - position);
      if (count === 0) break;
      if (stream.sendable < count) return;
      stream.write(patternAt(position, count));
      position += count;
    }
    if (hasEnded) return;
    hasEnded = true;
    stream.end();
  };
  stream.receiver = {
    onBytes: () => onClose(new Error('The source received bytes that nobody sent.')),
    onWritable: sendOn,
    onEnd() {},
    onClose: (reason) => onClose(reason ?? new Error('The circuit was closed.')),
  };
  sendOn();
}

/** Resolves when all bytes have arrived and are right. */
async function receive(stream: MuxStream, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let position = 0;
    stream.receiver = {
      onBytes(data) {
        if (!isPattern(data, position)) {
          reject(new Error(`Bytes from position ${position} on differ from those that were sent.`));
          stream.destroy();
        }
        position += data.length;
      },
      onWritable() {},
      onEnd() {
        if (position === bytes) resolve();
        else reject(new Error(`${position} of ${bytes} bytes have arrived.`));
        stream.end();
      },
      onClose: (reason) => reject(reason ?? new Error('The circuit was closed.')),
    };
  });
}

async function openPair({ keyFile, relay, muxer }: LoadOptions): Promise<[MuxStream, MuxStream]> {
  const key = readKey(keyFile);
  const [source, target] = [new Device(key, muxer), new Device(key, muxer)];
  const accepted = Promise.withResolvers<MuxStream>();
  target.handlers.set(
    STOP,
    acceptCircuits((reader) => accepted.resolve(reader.pipe as MuxStream)),
  );
  await reserve(await target.connect(parseRelay(relay)));
  const session = await source.connect(parseRelay(relay));
  const reader = await openCircuit(session, target.identity.peerId);
  return [reader.pipe as MuxStream, await accepted.promise];
}

/** One pair of devices for each circuit. */
export const prepareBulk: Prepare = async (options) => {
  const pairs: Array<[MuxStream, MuxStream]> = [];
  for (let index = 0; index < options.devices; index += 1) pairs.push(await openPair(options));
  return async (): Promise<LoadResult> => {
    const errors: string[] = [];
    const fail = (error: Error): void => void errors.push(error.message);
    await Promise.all(
      pairs.map(async ([from, to]) => {
        const received = receive(to, options.bytes);
        const failed = new Promise<void>((resolve) => {
          send(from, options.bytes, (error) => {
            fail(error);
            resolve();
          });
        });
        await Promise.race([received.catch(fail), failed]);
      }),
    );
    return { operations: 0, bytes: options.devices * options.bytes, latenciesMs: [], errors };
  };
};
