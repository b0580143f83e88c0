// Devices that connect and reserve. They stay, each with the ping stream that rust-libp2p keeps open.
import { Device, parseRelay, ping, reserve } from '../../endpoints/device.ts';
import { readKey } from '../../endpoints/psk.ts';
import { type Prepare, repeat, within } from '../load-result.ts';

/** Deadline for one device, in seconds. */
const DEADLINE_SECONDS = 60;

export const prepareReserve: Prepare = async (options) => {
  const key = readKey(options.keyFile);
  const relay = parseRelay(options.relay);
  const devices = Array.from({ length: options.operations }, () => new Device(key, options.muxer));
  return async () =>
    repeat(options.operations, options.concurrency, async (index) => {
      const device = devices[index] as Device;
      const reserved = async (): Promise<void> => {
        const session = await device.connect(relay);
        await ping(session);
        await reserve(session);
      };
      await within(DEADLINE_SECONDS, 'Connecting and reserving', reserved());
    });
};
