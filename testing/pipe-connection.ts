// One end of a pipe in memory as a connection of libp2p, so that the stock implementations talk to a layer of ours.
import type { AbortOptions } from '@libp2p/interface';
import { defaultLogger } from '@libp2p/logger';
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import type { Uint8ArrayList } from 'uint8arraylist';
import type { PipeEnd } from './byte-pipe.ts';

/** Creates the connection, which is the sink of the end from now on. */
export function createPipeConnection(end: PipeEnd, direction: 'inbound' | 'outbound'): PipeConnection {
  return new PipeConnection(end, direction);
}

export class PipeConnection extends AbstractMultiaddrConnection {
  readonly #end: PipeEnd;

  constructor(end: PipeEnd, direction: 'inbound' | 'outbound') {
    const log = defaultLogger().forComponent('pipe');
    super({ log, direction, remoteAddr: multiaddr('/ip4/127.0.0.1/tcp/4001') });
    this.#end = end;
    end.sink = {
      onBytes: (buffer, start, finish) => this.onData(Buffer.from(buffer.subarray(start, finish))),
      onReadEnd: () => {},
      onWritable: () => this.onMuxerDrain(),
      onClose: (error) => {
        if (error === undefined) this.onTransportClosed();
        else if (this.status === 'open') this.onRemoteReset();
      },
    };
  }

  override sendData(data: Uint8ArrayList): SendResult {
    const bytes = Buffer.from(data.subarray());
    this.#end.write(bytes, 0, bytes.length);
    return { sentBytes: bytes.length, canSendMore: !this.#end.isBlocked };
  }

  override sendReset(error: Error): void {
    this.#end.abort(error);
  }

  override sendPause(): void {
    this.#end.pause();
  }

  override sendResume(): void {
    this.#end.resume();
  }

  override async sendClose(_options?: AbortOptions): Promise<void> {
    this.#end.end();
  }
}
