// Records the first bytes that a program and our relay send each other: nonces, and the greeting under the swarm key.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Cell } from './cell.ts';

/** The nonce, the greeting of multistream, and the name of Noise, which every dialler says first. */
const RECORDED_BYTES = 24 + 20 + 8;

export interface Handshake {
  readonly from_program: string;
  readonly from_relay: string;
}

/** Runs `reserve` through a proxy that listens in. */
export async function recordHandshake(cell: Cell): Promise<Handshake> {
  const { relay } = cell.grid;
  const [, , , , port = '', , relayId = ''] = relay.address.split('/');
  const said = { from_program: Buffer.alloc(0), from_relay: Buffer.alloc(0) };
  const listen = (from: Socket, to: Socket, who: keyof typeof said): void => {
    from.on('data', (chunk: Buffer) => {
      said[who] = Buffer.concat([said[who], chunk]).subarray(0, RECORDED_BYTES);
    });
    from.on('error', () => to.destroy());
    from.pipe(to);
  };
  const proxy = createServer((program) => {
    const behind = connect(Number(port), '127.0.0.1');
    listen(program, behind, 'from_program');
    listen(behind, program, 'from_relay');
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = `/ip4/127.0.0.1/tcp/${(proxy.address() as AddressInfo).port}/p2p/${relayId}`;
  const { code, stderr } = await cell.run({ address }, ['reserve']);
  proxy.close();
  if (code !== 0) throw new Error(`${cell.program.name} got no reservation: ${stderr}`);
  return { from_program: said.from_program.toString('hex'), from_relay: said.from_relay.toString('hex') };
}
