// Records the first bytes between a program and our relay: the nonces and the encrypted multistream header.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Cell } from './cell.ts';

/** The nonce, the header of multistream-select, and the name of Noise, which every dialer sends first. */
const RECORDED_BYTES = 24 + 20 + 8;

export interface Handshake {
  readonly from_program: string;
  readonly from_relay: string;
}

/** Runs `reserve` through a recording proxy. */
export async function recordHandshake(cell: Cell): Promise<Handshake> {
  const { relay } = cell.network;
  const [, , , , port = '', , relayId = ''] = relay.address.split('/');
  const recorded = { from_program: Buffer.alloc(0), from_relay: Buffer.alloc(0) };
  const forward = (from: Socket, to: Socket, direction: keyof typeof recorded): void => {
    from.on('data', (chunk: Buffer) => {
      recorded[direction] = Buffer.concat([recorded[direction], chunk]).subarray(0, RECORDED_BYTES);
    });
    from.on('error', () => to.destroy());
    from.pipe(to);
  };
  const proxy = createServer((program) => {
    const upstream = connect(Number(port), '127.0.0.1');
    forward(program, upstream, 'from_program');
    forward(upstream, program, 'from_relay');
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = `/ip4/127.0.0.1/tcp/${(proxy.address() as AddressInfo).port}/p2p/${relayId}`;
  const { code, stderr } = await cell.run({ address }, ['reserve']);
  proxy.close();
  if (code !== 0) throw new Error(`The program ${cell.program.name} got no reservation:\n${stderr}`);
  return {
    from_program: recorded.from_program.toString('hex'),
    from_relay: recorded.from_relay.toString('hex'),
  };
}
