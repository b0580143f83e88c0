// Circuits between devices that are connected: the time from CONNECT until the circuit is open. Each is then closed.
import { acceptCircuits, Device, openCircuit, parseRelay, reserve, STOP } from '../../endpoints/device.ts';
import type { Session } from '../../endpoints/mux.ts';
import { readKey } from '../../endpoints/psk.ts';
import { type Prepare, repeat, within } from '../load-result.ts';

/** Deadline for one circuit, in seconds. */
const DEADLINE_SECONDS = 30;

export const prepareCircuits: Prepare = async (options) => {
  const key = readKey(options.keyFile);
  const relay = parseRelay(options.relay);
  const targets: Device[] = [];
  const sources: Session[] = [];
  for (let index = 0; index < options.devices; index += 1) {
    const target = new Device(key, options.muxer);
    target.handlers.set(
      STOP,
      acceptCircuits(({ pipe }) => {
        pipe.receiver = { onBytes() {}, onWritable() {}, onEnd: () => pipe.end(), onClose() {} };
      }),
    );
    await reserve(await target.connect(relay));
    targets.push(target);
    sources.push(await new Device(key, options.muxer).connect(relay));
  }
  return async () =>
    repeat(options.operations, options.concurrency, async (index) => {
      const source = sources[index % sources.length] as Session;
      // Every source opens circuits to every target.
      const target = targets[(index + Math.floor(index / sources.length)) % targets.length] as Device;
      const reader = await within(DEADLINE_SECONDS, 'A circuit', openCircuit(source, target.identity.peerId));
      reader.pipe.end();
    });
};
